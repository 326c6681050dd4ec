#include "coordinator/study/test_notes.h"

#include <algorithm>
#include <fmt/format.h>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include "coordinator/study/test_pairs.h"

namespace bitsweep {
namespace {

constexpr std::string_view kNoDifference = "no difference shown";

std::string VerdictText(const TestTable& table, std::optional<double> p, bool treatment_loses) {
  if (!p || *p >= table.options.alpha) {
    return std::string(kNoDifference);
  }
  return treatment_loses ? "worse" : "better";
}

std::string RowName(const TestTable& table, const TestRow& row) {
  return absl::StrCat(table.benchmarks.size() > 1 ? row.benchmark + " " : "",
                      row.model,
                      " ",
                      row.language,
                      " ",
                      row.baseline,
                      " -> ",
                      row.treatment);
}

std::string FamilyText(QuestionKind kind) {
  switch (kind) {
    case QuestionKind::kRq1:
    case QuestionKind::kRq3:
      return "p adj: after Benjamini-Hochberg over the tests of one model and language.";
    case QuestionKind::kRq2:
      return "p adj: after Benjamini-Hochberg over the tests of one model, language and precision.";
    case QuestionKind::kRq1Finetune:
      return "Not corrected for several tests, as in the study.";
  }
  return "";
}

std::string SampleNote(const TestTable& table) {
  return absl::StrCat(
      "Per sample (the study's test): exact McNemar on pairs of (problem, sample index); ",
      CountsLossesFirst(table.kind)
          ? "b: the baseline passes and the treatment fails, c: the reverse; an odds ratio b / c "
            "above 1 says that the baseline is better. "
          : "b: the baseline fails and the treatment passes, c: the reverse; an odds ratio b / c "
            "above 1 says that the treatment is better. ",
      FamilyText(table.kind));
}

std::string ProblemNote(const TestTable& table) {
  return fmt::format(
      "Per problem: pass@1 of the treatment less the baseline's, in points; {:g} % percentile "
      "bootstrap interval over problems ({} resamples, seed {}); p by paired sign flips over "
      "problems{}. Samples of one problem are not independent, so the test per sample takes them "
      "for more evidence than they are.",
      100 * table.options.confidence,
      table.options.resamples,
      table.options.seed,
      CorrectsFamilies(table.kind) ? ", for the verdict corrected as above" : "");
}

std::string DetectableNote(const TestOptions& options) {
  return fmt::format(
      "Detectable: the smallest true difference, in points, that so many problems would show with "
      "probability {:g} at two-sided level {:g}: (z({:g}) + z({:g})) x SD of the problems' "
      "differences / sqrt(problems).",
      options.power,
      options.alpha,
      1 - options.alpha / 2,
      options.power);
}

std::string DisagreementNote(const TestTable& table) {
  std::vector<std::string> rows;
  for (const TestRow& row : table.rows) {
    const std::string by_sample = SampleVerdict(table, row);
    const std::string by_problem = ProblemVerdict(table, row);
    if (by_sample != by_problem) {
      rows.push_back(absl::StrCat(
          RowName(table, row), " (", by_sample, " per sample, ", by_problem, " per problem)"));
    }
  }
  return rows.empty()
             ? ""
             : absl::StrCat("The two verdicts differ in: ", absl::StrJoin(rows, "; "), ".");
}

std::string UnfinishedNote(const TestTable& table) {
  const auto untested = std::count_if(table.rows.begin(), table.rows.end(), [](const TestRow& row) {
    return row.state != kTested;
  });
  return untested == 0 ? ""
                       : absl::StrCat(untested,
                                      " of ",
                                      table.rows.size(),
                                      " pairs were not tested",
                                      CorrectsFamilies(table.kind)
                                          ? "; families are corrected over those that were, so "
                                            "adjusted figures will move."
                                          : ".");
}

std::string SeedNote(const TestTable& table) {
  if (table.agreements.empty()) {
    return "";
  }
  double spread = 0, least = 1, sum = 0;
  int seeds = 0;
  for (const SeedAgreement& agreement : table.agreements) {
    seeds = std::max(seeds, agreement.seeds);
    spread = std::max(spread, agreement.spread);
    least = std::min(least, agreement.agreement);
    sum += agreement.agreement;
  }
  return fmt::format(
      "{} seeds, paired within a seed: counts are summed over seeds, a problem's difference is the "
      "mean over seeds. All seeds have the same verdict (more than half of the samples pass) on "
      "{:.1f} % of the problems on average and {:.1f} % at least; pass@1 spreads by at most "
      "{:.1f} points (sample standard deviation over seeds).",
      seeds,
      100 * sum / static_cast<double>(table.agreements.size()),
      100 * least,
      100 * spread);
}

}  // namespace

std::string SampleVerdict(const TestTable& table, const TestRow& row) {
  if (row.state != kTested) {
    return row.state;
  }
  return VerdictText(table,
                     row.p_adjusted ? row.p_adjusted : row.p_value,
                     CountsLossesFirst(table.kind) ? row.b > row.c : row.b < row.c);
}

std::string ProblemVerdict(const TestTable& table, const TestRow& row) {
  if (row.state != kTested) {
    return row.state;
  }
  return VerdictText(table,
                     row.p_problem_adjusted ? row.p_problem_adjusted : row.p_problem,
                     row.difference.value_or(0) < 0);
}

std::vector<std::string> TestNotes(const TestTable& table) {
  std::vector<std::string> notes = {
      SampleNote(table), ProblemNote(table), DetectableNote(table.options)};
  for (std::string note : {DisagreementNote(table), SeedNote(table), UnfinishedNote(table)}) {
    if (!note.empty()) {
      notes.push_back(std::move(note));
    }
  }
  for (const TestRow& row : table.rows) {
    if (!row.note.empty()) {
      notes.push_back(absl::StrCat(RowName(table, row), ": ", row.note, "."));
    }
  }
  return notes;
}

}  // namespace bitsweep
