// A Table as Markdown and as CSV. Further formats render the same value.
#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <set>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include "coordinator/study/table_notes.h"
#include "coordinator/study/tables.h"

namespace bitsweep {
namespace {

// How the study calls its questions.
std::string TitleOf(const Table& table) {
  switch (table.kind) {
    case QuestionKind::kRq1:
      return "quantization against fp16";
    case QuestionKind::kRq1Finetune:
      return "end-to-end fine-tuning after quantization";
    case QuestionKind::kRq2:
      return "the calibration set";
    case QuestionKind::kRq3:
      return "model size under extreme quantization";
  }
  return "";
}

/// One decimal, and no "-0.0".
std::string OneDecimal(double value) {
  const double rounded = std::round(value * 10) / 10;
  return fmt::format("{:.1f}", rounded == 0 ? 0.0 : rounded);
}

std::string FigureText(const TableFigure& figure) {
  if (figure.state == kExcludedState) {
    return "-";
  }
  if (!figure.pass_at_1) {
    return figure.state;
  }
  std::string text = OneDecimal(100 * *figure.pass_at_1);
  if (figure.spread) {
    absl::StrAppend(&text, " \u00b1 ", OneDecimal(100 * *figure.spread));
  }
  if (figure.difference) {
    // Sums of fractions such as 1/60 differ in the last bits where the counts of passes are the
    // same.
    constexpr double kRoundingNoise = 1e-12;
    const double difference = *figure.difference;
    absl::StrAppend(&text,
                    difference > kRoundingNoise    ? " \u25b2"
                    : difference < -kRoundingNoise ? " \u25bc"
                                                   : " =");
  }
  return text;
}

std::string DecText(const TableFigure& figure) {
  return figure.dec_percent
             ? fmt::format(
                   "{}{}", *figure.dec_percent > 0.05 ? "+" : "", OneDecimal(*figure.dec_percent))
             : "---";
}

std::string PrecisionText(const TableRow& row) {
  return row.finetuned == kNone ? row.precision : absl::StrCat(row.precision, " + ", row.finetuned);
}

std::string ParamsText(const TableRow& row) {
  if (!row.params.empty() || !row.parameters) {
    return row.params;
  }
  const auto count = static_cast<double>(*row.parameters);
  return count >= 1e9 ? fmt::format("{:.1f}B", count / 1e9) : fmt::format("{:.1f}M", count / 1e6);
}

/// Family and params name a model in the study's tables; where two models share both, their ids do.
bool FamiliesNameModels(const Table& table) {
  std::set<std::string> names;
  std::set<std::string> models;
  for (const TableRow& row : table.rows) {
    names.insert(absl::StrCat(row.family, "\n", ParamsText(row)));
    models.insert(row.model);
  }
  return names.size() == models.size();
}

/// Columns of a terminal; our text has no wide or combining characters.
std::size_t Width(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

struct Grid {
  std::vector<std::string> head;
  std::vector<bool> right;  // Right-aligned columns.
  std::vector<std::vector<std::string>> rows;
  void Column(std::string title, bool is_right) {
    head.push_back(std::move(title));
    right.push_back(is_right);
  }
};

Grid MakeGrid(const Table& table) {
  const SizeUnit unit = UnitOf(table);
  const bool by_family = FamiliesNameModels(table);
  const bool calibrations = table.kind == QuestionKind::kRq2;
  const bool dec = table.kind == QuestionKind::kRq3;
  Grid grid;
  grid.Column("Model", false);
  grid.Column("Params", true);
  grid.Column("Precision", false);
  if (calibrations) {
    grid.Column("Calibration", false);
  }
  grid.Column(absl::StrCat("Size (", std::string(unit.name), ")"), true);
  grid.Column("Bits", true);
  for (const std::string& language : table.languages) {
    grid.Column(LanguageTitle(language), true);
    if (dec) {
      grid.Column("Dec (%)", true);
    }
  }
  for (const TableRow& row : table.rows) {
    std::vector<std::string> cells = {
        by_family ? row.family : row.model, ParamsText(row), PrecisionText(row)};
    if (calibrations) {
      cells.push_back(row.calibration == kNone ? "-" : row.calibration);
    }
    cells.push_back(row.size_bytes
                        ? fmt::format("{:.2f}", static_cast<double>(*row.size_bytes) / unit.bytes)
                        : "-");
    cells.push_back(row.effective_bits ? fmt::format("{:.2f}", *row.effective_bits) : "-");
    for (const TableFigure& figure : row.figures) {
      cells.push_back(FigureText(figure));
      if (dec) {
        cells.push_back(DecText(figure));
      }
    }
    grid.rows.push_back(std::move(cells));
  }
  return grid;
}

std::string MarkdownLine(const std::vector<std::string>& cells,
                         const std::vector<std::size_t>& widths,
                         const std::vector<bool>& right) {
  std::string line = "|";
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const std::string padding(widths[i] - Width(cells[i]), ' ');
    absl::StrAppend(&line, " ", right[i] ? padding : "", cells[i], right[i] ? "" : padding, " |");
  }
  return line + "\n";
}

/// A pipe in a name would end the cell.
std::string EscapePipes(std::string text) {
  for (std::size_t at = text.find('|'); at != std::string::npos; at = text.find('|', at + 2)) {
    text.insert(at, 1, '\\');
  }
  return text;
}

std::string Quoted(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) {
    return text;
  }
  std::string out = "\"";
  for (const char c : text) {
    out += c == '"' ? "\"\"" : std::string(1, c);
  }
  return out + "\"";
}

template <typename Number>
std::string NumberOrEmpty(const std::optional<Number>& number) {
  return number ? fmt::format("{}", *number) : "";
}

}  // namespace

std::string RenderMarkdown(const Table& table) {
  Grid grid = MakeGrid(table);
  std::vector<std::size_t> widths;
  for (const std::string& title : grid.head) {
    widths.push_back(std::max<std::size_t>(Width(title), 3));
  }
  for (std::vector<std::string>& row : grid.rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      row[i] = EscapePipes(std::move(row[i]));
      widths[i] = std::max(widths[i], Width(row[i]));
    }
  }
  std::string text =
      absl::StrCat("## ", table.question, " on ", table.benchmark, ": ", TitleOf(table), "\n\n");
  text += MarkdownLine(grid.head, widths, grid.right);
  std::vector<std::string> rules;
  for (std::size_t i = 0; i < widths.size(); ++i) {
    rules.push_back(grid.right[i] ? std::string(widths[i] - 1, '-') + ":"
                                  : std::string(widths[i], '-'));
  }
  text += MarkdownLine(rules, widths, grid.right);
  for (const std::vector<std::string>& row : grid.rows) {
    text += MarkdownLine(row, widths, grid.right);
  }
  text += "\n";
  for (const std::string& note : table.notes) {
    absl::StrAppend(&text, "- ", note, "\n");
  }
  return text;
}

std::string RenderCsv(const Table& table) {
  std::vector<std::string> head = {"question",
                                   "kind",
                                   "benchmark",
                                   "model",
                                   "family",
                                   "params",
                                   "precision",
                                   "calibration",
                                   "finetuned",
                                   "parameters",
                                   "size_bytes",
                                   "effective_bits"};
  for (const std::string& language : table.languages) {
    for (const char* column : {"pass_at_1",
                               "state",
                               "spread",
                               "difference",
                               "dec_percent",
                               "problems",
                               "samples",
                               "seeds",
                               "weak_witnesses"}) {
      head.push_back(absl::StrCat(language, "_", column));
    }
  }
  std::string text = absl::StrCat(absl::StrJoin(head, ","), "\n");
  for (const TableRow& row : table.rows) {
    std::vector<std::string> cells = {table.question,
                                      std::string(ToString(table.kind)),
                                      table.benchmark,
                                      row.model,
                                      row.family,
                                      row.params,
                                      row.precision,
                                      row.calibration,
                                      row.finetuned,
                                      NumberOrEmpty(row.parameters),
                                      NumberOrEmpty(row.size_bytes),
                                      NumberOrEmpty(row.effective_bits)};
    for (const TableFigure& figure : row.figures) {
      for (const std::string& cell : {NumberOrEmpty(figure.pass_at_1),
                                      figure.state,
                                      NumberOrEmpty(figure.spread),
                                      NumberOrEmpty(figure.difference),
                                      NumberOrEmpty(figure.dec_percent),
                                      std::to_string(figure.problems),
                                      std::to_string(figure.samples),
                                      std::to_string(figure.seeds),
                                      std::to_string(figure.weak_witnesses)}) {
        cells.push_back(cell);
      }
    }
    for (std::string& cell : cells) {
      cell = Quoted(cell);
    }
    absl::StrAppend(&text, absl::StrJoin(cells, ","), "\n");
  }
  return text;
}

}  // namespace bitsweep
