// Tests of two paired variants, on counts and numbers alone: over samples (exact McNemar) and over
// problems (sign flips, bootstrap). What is paired with what is question_tests.h's. Pure free
// functions: any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace bitsweep {

/// Two-sided exact McNemar test: min(1, 2 P(Bin(b + c, 1/2) <= min(b, c))), 1 where b = c = 0. The
/// relative error is below 1e-12 for b + c up to 10^6. A p too small for a double is the smallest
/// normal one (2.2e-308), never 0. REQUIRES: b, c >= 0.
double McNemarExactP(std::int64_t b, std::int64_t c);

/// b / c: infinite where only c is 0, nullopt where both are (nothing was observed). REQUIRES:
/// b, c >= 0.
std::optional<double> OddsRatio(std::int64_t b, std::int64_t c);

/// Adjusted p-values of one family, in its order: of the m values, the one of rank i becomes the
/// least of m p(j) / j over ranks j >= i, at most 1 (Benjamini and Hochberg, 1995).
std::vector<double> BenjaminiHochberg(const std::vector<double>& p_values);

/// One problem's difference: the pass rate under one variant less that under the other.
/// `numerator / denominator` is `value` exactly; a denominator of 0 says that none is small enough
/// to be of use.
struct ProblemDifference {
  double value = 0;
  std::int64_t numerator = 0, denominator = 0;
};

/// Paired permutation test over problems: under the null each difference is as likely to have the
/// other sign, and the statistic is |sum of the differences|; two-sided, 1 where no problem
/// differs.
///
/// Where the differences share a denominator (they do when every problem has as many samples) the
/// distribution over all 2^n sign flips is computed exactly, by adding one problem at a time to the
/// distribution of the sum; `permutations` and `seed` are then not used. Otherwise, or when that
/// would take more than kExactFlipStepsMax steps, `permutations` random flips estimate it as (1 +
/// hits) / (1 + permutations), which is never 0 and keeps the test's level.
double SignFlipP(const std::vector<ProblemDifference>& differences,
                 int permutations,
                 std::uint64_t seed);

// A quarter of a second on one core of 2020; 200 problems of 20 samples and 5 seeds take 4 million.
inline constexpr std::int64_t kExactFlipStepsMax = std::int64_t{1} << 28;

/// The estimate alone, for any differences. REQUIRES: permutations > 0.
double SignFlipMonteCarloP(const std::vector<double>& differences,
                           int permutations,
                           std::uint64_t seed);

struct Interval {
  double low = 0, high = 0;
};

/// Percentile bootstrap of the mean of `values`: `resamples` draws with replacement, quantiles
/// (1 -+ confidence) / 2 by linear interpolation between order statistics. Percentile, not BCa:
/// differences of pass rates are bounded and nearly symmetric, so the two agree to a few hundredths
/// of a point on the study's data, and a reader can redo it in a line. nullopt with fewer than 2
/// values. REQUIRES: resamples > 0, confidence in (0, 1).
std::optional<Interval> BootstrapInterval(const std::vector<double>& values,
                                          double confidence,
                                          int resamples,
                                          std::uint64_t seed);

/// The smallest true mean difference that a two-sided paired test at level `alpha` finds with
/// probability `power`, by the normal approximation over n problems:
/// (z(1 - alpha / 2) + z(power)) s / sqrt(n), s the sample standard deviation of the differences.
/// nullopt with fewer than 2 values or where all are equal, which says nothing about a design.
/// REQUIRES: alpha, power in (0, 1).
std::optional<double> MinimumDetectableDifference(const std::vector<double>& values,
                                                  double alpha,
                                                  double power);

}  // namespace bitsweep
