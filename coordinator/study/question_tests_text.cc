// A TestTable as text for people, Markdown, CSV and JSON.
#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include "coordinator/study/nearest.h"
#include "coordinator/study/question_tests.h"
#include "coordinator/study/test_notes.h"
#include "coordinator/study/test_pairs.h"
#include "coordinator/study/text_grid.h"

namespace bitsweep {
namespace {

std::string PText(std::optional<double> p) {
  if (!p) {
    return "-";
  }
  constexpr double kTiny = 1e-300;
  if (*p < kTiny) {
    return "<1e-300";
  }
  return *p < 0.001 ? fmt::format("{:.1e}", *p) : fmt::format("{:.4f}", *p);
}

std::string PointsText(std::optional<double> fraction, bool with_sign) {
  if (!fraction) {
    return "-";
  }
  const double points = std::round(*fraction * 1e4) / 1e2;
  const double shown = points == 0 ? 0.0 : points;  // No "-0.00".
  return with_sign ? fmt::format("{:+.2f}", shown) : fmt::format("{:.2f}", shown);
}

std::string OddsText(const TestRow& row) {
  if (!row.odds_ratio) {
    return "-";
  }
  return std::isinf(*row.odds_ratio) ? "inf" : fmt::format("{:.2f}", *row.odds_ratio);
}

TextGrid MakeGrid(const TestTable& table) {
  const bool several = table.benchmarks.size() > 1;
  const bool corrected = CorrectsFamilies(table.kind);
  TextGrid grid;
  if (several) {
    grid.Column("Benchmark", false);
  }
  for (const char* title : {"Model", "Language", "Baseline", "Treatment"}) {
    grid.Column(title, false);
  }
  for (const char* title : {"b", "c", "Odds ratio", "p"}) {
    grid.Column(title, true);
  }
  if (corrected) {
    grid.Column("p adj", true);
  }
  grid.Column("Per sample", false);
  grid.Column("Points", true);
  grid.Column(fmt::format("{:g} % interval", 100 * table.options.confidence), false);
  grid.Column("p", true);
  grid.Column("Per problem", false);
  grid.Column("Detectable", true);
  for (const TestRow& row : table.rows) {
    const bool tested = row.state == kTested;
    std::vector<std::string> cells;
    if (several) {
      cells.push_back(row.benchmark);
    }
    cells.insert(cells.end(), {row.model, row.language, row.baseline, row.treatment});
    cells.push_back(tested ? std::to_string(row.b) : "-");
    cells.push_back(tested ? std::to_string(row.c) : "-");
    cells.insert(cells.end(), {OddsText(row), PText(row.p_value)});
    if (corrected) {
      cells.push_back(PText(row.p_adjusted));
    }
    cells.push_back(SampleVerdict(table, row));
    cells.push_back(PointsText(row.difference, true));
    cells.push_back(row.difference_low ? absl::StrCat("[",
                                                      PointsText(row.difference_low, true),
                                                      ", ",
                                                      PointsText(row.difference_high, true),
                                                      "]")
                                       : "-");
    cells.push_back(PText(row.p_problem));
    cells.push_back(ProblemVerdict(table, row));
    cells.push_back(PointsText(row.minimum_detectable_difference, false));
    grid.rows.push_back(std::move(cells));
  }
  return grid;
}

std::string TitleOf(const TestTable& table) {
  return absl::StrCat(
      table.question, " on ", absl::StrJoin(table.benchmarks, ", "), ": tests of pairs");
}

/// Shortest text that reads back as the same double; "inf" for infinity.
std::string NumberOrEmpty(std::optional<double> number) {
  return number ? fmt::format("{}", *number) : "";
}

std::string RenderTestsCsv(const TestTable& table) {
  std::string text =
      "question,kind,benchmark,model,family,params,language,baseline,treatment,state,b,c,"
      "odds_ratio,p_value,p_adjusted,difference,difference_low,difference_high,p_problem,"
      "p_problem_adjusted,minimum_detectable_difference,problems,samples,seeds,note\n";
  for (const TestRow& row : table.rows) {
    const bool tested = row.state == kTested;
    const auto count = [&](std::int64_t value) { return tested ? std::to_string(value) : ""; };
    std::vector<std::string> cells = {table.question,
                                      std::string(ToString(table.kind)),
                                      row.benchmark,
                                      row.model,
                                      row.family,
                                      row.params,
                                      row.language,
                                      row.baseline,
                                      row.treatment,
                                      row.state,
                                      count(row.b),
                                      count(row.c)};
    for (const std::optional<double>& number : {row.odds_ratio,
                                                row.p_value,
                                                row.p_adjusted,
                                                row.difference,
                                                row.difference_low,
                                                row.difference_high,
                                                row.p_problem,
                                                row.p_problem_adjusted,
                                                row.minimum_detectable_difference}) {
      cells.push_back(NumberOrEmpty(number));
    }
    for (const std::int64_t number : {row.problems, row.samples, row.seeds}) {
      cells.push_back(count(number));
    }
    cells.push_back(row.note);
    text += CsvLine(cells);
  }
  return text;
}

nlohmann::ordered_json NumberOrNull(std::optional<double> number) {
  if (!number) {
    return nullptr;
  }
  return std::isinf(*number) ? nlohmann::ordered_json("inf") : nlohmann::ordered_json(*number);
}

std::string RenderTestsJson(const TestTable& table) {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const TestRow& row : table.rows) {
    const bool tested = row.state == kTested;
    const auto count = [&](std::int64_t value) {
      return tested ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr);
    };
    nlohmann::ordered_json out;
    out["model"] = row.model;
    out["language"] = row.language;
    out["benchmark"] = row.benchmark;
    out["baseline"] = row.baseline;
    out["treatment"] = row.treatment;
    out["b"] = count(row.b);
    out["c"] = count(row.c);
    out["odds_ratio"] = NumberOrNull(row.odds_ratio);
    out["p_value"] = NumberOrNull(row.p_value);
    out["p_adjusted"] = NumberOrNull(row.p_adjusted);
    out["difference"] = NumberOrNull(row.difference);
    out["difference_low"] = NumberOrNull(row.difference_low);
    out["difference_high"] = NumberOrNull(row.difference_high);
    out["p_problem"] = NumberOrNull(row.p_problem);
    out["problems"] = count(row.problems);
    out["samples"] = count(row.samples);
    rows.push_back(std::move(out));
  }
  return nlohmann::ordered_json{{"rows", std::move(rows)}}.dump(2) + "\n";
}

}  // namespace

absl::StatusOr<StatsFormat> ParseStatsFormat(std::string_view name) {
  const std::vector<std::string> names = {"text", "markdown", "csv", "json"};
  const auto found = std::find(names.begin(), names.end(), name);
  if (found != names.end()) {
    return static_cast<StatsFormat>(found - names.begin());
  }
  const std::string text(name);
  return absl::InvalidArgumentError(
      absl::StrCat("no format '", text, "'", AllowedText(text, names)));
}

std::string RenderTests(const TestTable& table, StatsFormat format) {
  switch (format) {
    case StatsFormat::kText:
      return GridText(TitleOf(table), MakeGrid(table), table.notes);
    case StatsFormat::kMarkdown:
      return GridMarkdown(TitleOf(table), MakeGrid(table), table.notes);
    case StatsFormat::kCsv:
      return RenderTestsCsv(table);
    case StatsFormat::kJson:
      return RenderTestsJson(table);
  }
  return "";
}

}  // namespace bitsweep
