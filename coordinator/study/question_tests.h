// The tests of one question: the study's (exact McNemar over samples, Benjamini-Hochberg) and,
// beside it, the one that a reader may trust more (sign flips and a bootstrap over problems),
// because samples of one problem are not independent. Which pairs are tested, in which direction
// and in which families is the study's choice (arXiv 2503.07103) and stands at TestQuestion. Plain
// values and free functions: any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

#include "coordinator/study/outcomes.h"
#include "coordinator/study/sweep_spec.h"

namespace bitsweep {

// The calibration of imported outcomes that do not name one; labels leave it out.
inline constexpr std::string_view kUnspecified = "unspecified";

struct TestOptions {
  std::uint64_t seed = 0;     // Of the resampling; the same seed gives the same bits everywhere.
  int permutations = 100000;  // Of sign flips, where their exact distribution is out of reach.
  int resamples = 10000;      // Of the bootstrap.
  double confidence = 0.95;   // Of the interval.
  double alpha = 0.05;        // Two-sided level of both verdicts and of the detectable difference.
  double power = 0.8;         // Of the detectable difference.
};

// TestRow::state.
inline constexpr std::string_view kTested = "tested";
inline constexpr std::string_view kNotFinished = "not finished";  // A cell has no outcomes yet.
inline constexpr std::string_view kNotPaired = "not paired";      // Two cells that do not match.

/// One pair of variants on one benchmark and language. Where `state` is not kTested, only the
/// names, `state` and `note` mean anything: counts are 0, figures are absent.
struct TestRow {
  std::string model, family, params, benchmark, language;
  // Labels `<precision>[-<calibration>][-finetuned]`. rq1, rq3: fp16 and the quantized variant;
  // rq1-finetune: before and after; rq2: first and second.
  std::string baseline, treatment;
  std::string state = std::string(kTested);
  std::string note;  // Why it was not tested, or what a reader must know: seeds left out.

  // The study's test. `b` counts samples that fail under the first and pass under the second, `c`
  // the reverse; first and second are (quantized, fp16) in rq1 and rq3, so that an odds ratio above
  // 1 says that the baseline is better, and (baseline, treatment) in rq1-finetune and rq2, so that
  // it says that the treatment is.
  std::int64_t b = 0, c = 0;
  std::optional<double> odds_ratio;  // b / c; infinite where only c is 0, absent where both are.
  std::optional<double> p_value;     // Exact, two-sided, uncorrected.
  std::optional<double> p_adjusted;  // After Benjamini-Hochberg; absent where there is no family.

  // By problem. Fractions in [-1, 1], not points: pass@1 of the treatment less the baseline's.
  std::optional<double> difference, difference_low, difference_high;
  std::optional<double> p_problem;           // Paired sign flips, two-sided, uncorrected.
  std::optional<double> p_problem_adjusted;  // In the same family as p_adjusted.
  // What this design would have detected (MinimumDetectableDifference of paired_tests.h); absent
  // where no problem differs.
  std::optional<double> minimum_detectable_difference;

  int problems = 0;  // Paired problems.
  int samples = 0;   // Paired samples of a problem in one seed (the most, where they differ).
  int seeds = 0;     // Seeds that both cells have.
};

/// How far the seeds of one variant agree on one benchmark and language.
struct SeedAgreement {
  std::string model, variant, benchmark, language;
  int seeds = 0, problems = 0;
  double pass_at_1 = 0;  // Mean over seeds, in [0, 1].
  double spread = 0;     // Sample standard deviation of pass@1 over seeds.
  // Of the problems, the fraction on which all seeds have the same verdict, where a seed's verdict
  // is "solved" when more than half of its samples pass.
  double agreement = 0;
  // Fleiss' kappa of those verdicts, seeds as raters: 1 is agreement, 0 is chance. Absent where
  // every verdict is the same, since chance then leaves nothing to agree beyond.
  std::optional<double> kappa;
};

/// Tests before they are text; every format renders this.
struct TestTable {
  std::string question;
  QuestionKind kind = QuestionKind::kRq1;
  std::vector<std::string> benchmarks;
  TestOptions options;
  std::vector<TestRow> rows;              // By benchmark, model, language, pair.
  std::vector<SeedAgreement> agreements;  // Empty with a single seed.
  std::vector<std::string> notes;         // Footers, one sentence or two each.
};

/// Tests every pair of the question, on `benchmark` or, where that is empty, on all of the
/// question's. `outcomes` may hold other cells; those are passed over. A pair that lacks a cell is
/// a row that says so, and families are corrected over the pairs that were tested, which a note
/// says.
///
/// Pairs and families (per benchmark, model and language):
///   rq1, rq3      every quantized variant against fp16; one family (4 precisions; 2 tests)
///   rq1-finetune  each precision before and after fine-tuning; not corrected
///   rq2           every two calibrations at one precision, the reference first; one family each
///                 precision
///
/// Several seeds: samples are paired by (seed, problem, sample index), so a seed is only compared
/// with itself. b and c are summed over seeds; a problem's difference is the mean over seeds of its
/// differences within a seed, so that problems, not seeds, are what is resampled.
///
/// INVALID_ARGUMENT: no such question or benchmark (the message lists those there are), the
/// question does not use the benchmark, options out of range, or a cell that comes twice.
absl::StatusOr<TestTable> TestQuestion(const SweepSpec& spec,
                                       std::string_view question,
                                       std::string_view benchmark,
                                       const std::vector<CellOutcomes>& outcomes,
                                       const TestOptions& options);

enum class StatsFormat {
  kText,      // For people at a terminal: aligned, both verdicts in words.
  kMarkdown,  // The same columns.
  kCsv,       // One line a row, full precision, no comments.
  kJson,      // {"rows": [...]}: infinity is the string "inf", what is absent is null.
};
/// "text", "markdown", "csv", "json". INVALID_ARGUMENT lists them.
absl::StatusOr<StatsFormat> ParseStatsFormat(std::string_view name);

std::string RenderTests(const TestTable& table, StatsFormat format);

}  // namespace bitsweep
