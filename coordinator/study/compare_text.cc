// A Comparison as text for people, Markdown, CSV and JSON.
#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <absl/strings/str_cat.h>

#include "coordinator/study/compare.h"
#include "coordinator/study/nearest.h"
#include "coordinator/study/table_notes.h"
#include "coordinator/study/text_grid.h"

namespace bitsweep {
namespace {

std::string OneDecimal(double value, bool with_sign) {
  const double rounded = std::round(value * 10) / 10;
  const double shown = rounded == 0 ? 0.0 : rounded;  // No "-0.0".
  return with_sign ? fmt::format("{:+.1f}", shown) : fmt::format("{:.1f}", shown);
}

TextGrid MakeGrid(const Comparison& comparison) {
  TextGrid grid;
  for (const char* title : {"Benchmark", "Model", "Precision", "Calibration"}) {
    grid.Column(title, false);
  }
  if (!comparison.rows.empty()) {
    for (const ComparedFigure& figure : comparison.rows.front().figures) {
      grid.Column(LanguageTitle(figure.language), true);
      grid.Column("published", true);
      grid.Column("diff", true);
    }
  }
  grid.Column("Size", true);
  grid.Column("published", true);
  grid.Column("Unit", false);
  for (const ComparisonRow& row : comparison.rows) {
    std::vector<std::string> cells = {row.benchmark,
                                      absl::StrCat(row.family, " ", row.params),
                                      row.precision + (row.finetuned ? " + fine-tuned" : ""),
                                      row.calibration == kNone ? "-" : row.calibration};
    for (const ComparedFigure& figure : row.figures) {
      cells.push_back(figure.ours ? OneDecimal(*figure.ours, false) : figure.state);
      cells.push_back(OneDecimal(figure.published, false));
      cells.push_back(figure.difference ? OneDecimal(*figure.difference, true) : "-");
    }
    cells.push_back(row.size ? fmt::format("{:.2f}", *row.size) : "-");
    cells.push_back(fmt::format("{:.2f}", row.published_size));
    cells.push_back(row.size_unit);
    grid.rows.push_back(std::move(cells));
  }
  return grid;
}

std::string TitleOf(const Comparison& comparison) {
  return absl::StrCat(comparison.sweep, " beside ", comparison.with, " (", comparison.title, ")");
}

std::vector<std::string> Footers(const Comparison& comparison) {
  std::vector<std::string> footers = comparison.notes;
  footers.insert(footers.end(), comparison.findings.begin(), comparison.findings.end());
  return footers;
}

template <typename Number>
std::string NumberOrEmpty(const std::optional<Number>& number) {
  return number ? fmt::format("{}", *number) : "";
}

std::string RenderComparisonCsv(const Comparison& comparison) {
  std::string text =
      "benchmark,family,params,precision,calibration,finetuned,language,model,state,ours_percent,"
      "published_percent,difference_points,size_bytes,size,published_size,size_unit\n";
  for (const ComparisonRow& row : comparison.rows) {
    for (const ComparedFigure& figure : row.figures) {
      text += CsvLine({row.benchmark,
                       row.family,
                       row.params,
                       row.precision,
                       row.calibration,
                       row.finetuned ? "true" : "false",
                       figure.language,
                       row.model,
                       figure.state,
                       NumberOrEmpty(figure.ours),
                       fmt::format("{}", figure.published),
                       NumberOrEmpty(figure.difference),
                       NumberOrEmpty(row.size_bytes),
                       NumberOrEmpty(row.size),
                       fmt::format("{}", row.published_size),
                       row.size_unit});
    }
  }
  return text;
}

template <typename Number>
nlohmann::ordered_json NumberOrNull(const std::optional<Number>& number) {
  return number ? nlohmann::ordered_json(*number) : nlohmann::ordered_json(nullptr);
}

std::string RenderComparisonJson(const Comparison& comparison) {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const ComparisonRow& row : comparison.rows) {
    for (const ComparedFigure& figure : row.figures) {
      nlohmann::ordered_json out;
      out["benchmark"] = row.benchmark;
      out["family"] = row.family;
      out["params"] = row.params;
      out["precision"] = row.precision;
      out["calibration"] = row.calibration;
      out["finetuned"] = row.finetuned;
      out["language"] = figure.language;
      out["model"] =
          row.model.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(row.model);
      out["state"] = figure.state;
      out["ours_percent"] = NumberOrNull(figure.ours);
      out["published_percent"] = figure.published;
      out["difference_points"] = NumberOrNull(figure.difference);
      out["size_bytes"] = NumberOrNull(row.size_bytes);
      out["size"] = NumberOrNull(row.size);
      out["published_size"] = row.published_size;
      out["size_unit"] = row.size_unit;
      rows.push_back(std::move(out));
    }
  }
  nlohmann::ordered_json document;
  document["sweep"] = comparison.sweep;
  document["with"] = comparison.with;
  document["title"] = comparison.title;
  document["rows"] = std::move(rows);
  document["notes"] = comparison.notes;
  document["findings"] = comparison.findings;
  return document.dump(2) + "\n";
}

}  // namespace

absl::StatusOr<CompareFormat> ParseCompareFormat(std::string_view name) {
  const std::vector<std::string> names = {"text", "markdown", "csv", "json"};
  const auto found = std::find(names.begin(), names.end(), name);
  if (found != names.end()) {
    return static_cast<CompareFormat>(found - names.begin());
  }
  const std::string text(name);
  return absl::InvalidArgumentError(
      absl::StrCat("no format '", text, "'", AllowedText(text, names)));
}

std::string RenderComparison(const Comparison& comparison, CompareFormat format) {
  switch (format) {
    case CompareFormat::kText:
      return GridText(TitleOf(comparison), MakeGrid(comparison), Footers(comparison));
    case CompareFormat::kMarkdown:
      return GridMarkdown(TitleOf(comparison), MakeGrid(comparison), Footers(comparison));
    case CompareFormat::kCsv:
      return RenderComparisonCsv(comparison);
    case CompareFormat::kJson:
      return RenderComparisonJson(comparison);
  }
  return "";
}

}  // namespace bitsweep
