#include "coordinator/study/table_grid.h"

#include <fmt/format.h>
#include <set>

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>

#include "coordinator/study/table_notes.h"

namespace bitsweep {
namespace {

std::string Percent(double fraction) {
  return fmt::format("{:.1f}", OneDecimal(100 * fraction));
}

GridCell FigureCell(const TableFigure& figure) {
  GridCell cell;
  if (figure.state == kExcludedState) {
    cell.text = "-";
    return cell;
  }
  if (!figure.pass_at_1) {
    const bool ended = figure.state.starts_with("failed") || figure.state.starts_with("cancelled");
    cell.kind = ended ? GridCell::Kind::kFailed : GridCell::Kind::kWaiting;
    cell.text = figure.state;
    return cell;
  }
  cell.kind = GridCell::Kind::kFigure;
  cell.text = Percent(*figure.pass_at_1);
  if (figure.spread) {
    absl::StrAppend(&cell.text, " \u00b1 ", Percent(*figure.spread));
  }
  if (figure.interval) {
    cell.interval =
        absl::StrCat("[", Percent(figure.interval->low), ", ", Percent(figure.interval->high), "]");
  }
  cell.arrow = figure.arrow;
  cell.best = figure.best;
  return cell;
}

std::string DecText(const TableFigure& figure) {
  if (!figure.dec_percent) {
    return "---";
  }
  const double dec = OneDecimal(*figure.dec_percent);
  return fmt::format("{}{:.1f}", dec > 0 ? "+" : "", dec);
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

GridCell Text(std::string text) {
  GridCell cell;
  cell.text = std::move(text);
  return cell;
}

std::vector<GridColumn> Columns(const Table& table, const SizeUnit& unit) {
  std::vector<GridColumn> columns = {
      {"Model", false, true}, {"Params", true, true}, {"Precision", false, true}};
  if (table.kind == QuestionKind::kRq2) {
    columns.push_back({"Calibration", false, true});
  }
  columns.push_back({absl::StrCat("Size (", std::string(unit.name), ")"), true, false});
  columns.push_back({"Bits", true, false});
  for (const std::string& language : table.languages) {
    columns.push_back({LanguageTitle(language), true, false});
    if (table.kind == QuestionKind::kRq3) {
      columns.push_back({"Dec (%)", true, false});
    }
  }
  return columns;
}

void FindBlocks(const Table& table, TableGrid& grid) {
  std::size_t first = 0;
  for (std::size_t i = 0; i < grid.rows.size(); ++i) {
    if (i == 0 || table.rows[i].model != table.rows[i - 1].model) {
      first = i;
      grid.rows[i].opens_block = true;
    }
    ++grid.rows[first].block_rows;
  }
}

}  // namespace

TableGrid MakeGrid(const Table& table) {
  const SizeUnit unit = UnitOf(table);
  const bool by_family = FamiliesNameModels(table);
  TableGrid grid;
  grid.columns = Columns(table, unit);
  for (const TableRow& row : table.rows) {
    GridRow out;
    out.cells = {
        Text(by_family ? row.family : row.model), Text(ParamsText(row)), Text(PrecisionText(row))};
    if (table.kind == QuestionKind::kRq2) {
      out.cells.push_back(Text(row.calibration == kNone ? "-" : row.calibration));
    }
    out.cells.push_back(Text(
        row.size_bytes ? fmt::format("{:.2f}", static_cast<double>(*row.size_bytes) / unit.bytes)
                       : "-"));
    out.cells.push_back(
        Text(row.effective_bits ? fmt::format("{:.2f}", *row.effective_bits) : "-"));
    for (const TableFigure& figure : row.figures) {
      out.cells.push_back(FigureCell(figure));
      if (table.kind == QuestionKind::kRq3) {
        out.cells.push_back(Text(DecText(figure)));
      }
    }
    grid.rows.push_back(std::move(out));
  }
  FindBlocks(table, grid);
  return grid;
}

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

std::string AnchorOf(const Table& table) {
  const auto spelt = [](const std::string& name) {
    std::string out;
    for (const char c : name) {
      const auto byte = static_cast<unsigned char>(c);
      if (absl::ascii_isalnum(byte) || c == '-') {
        out += c;
      } else {
        out += fmt::format("_{:02x}", byte);
      }
    }
    return out;
  };
  return absl::StrCat(spelt(table.question), ":", spelt(table.benchmark));
}

}  // namespace bitsweep
