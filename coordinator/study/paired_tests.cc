#include "coordinator/study/paired_tests.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <boost/math/special_functions/beta.hpp>
#include <boost/math/special_functions/erf.hpp>

#include "coordinator/study/random_stream.h"

namespace bitsweep {
namespace {

// Beyond this a common denominator makes tables that are too long to be worth it.
constexpr std::int64_t kDenominatorMax = std::int64_t{1} << 20;

/// Quantile of the standard normal distribution.
double NormalQuantile(double probability) {
  return -std::sqrt(2.0) * boost::math::erfc_inv(2 * probability);
}

/// The differences that are not 0 as whole multiples of one step, without their common divisor;
/// nullopt where there is no such step.
std::optional<std::vector<std::int64_t>> WholeSteps(
    const std::vector<ProblemDifference>& differences) {
  std::int64_t common = 1;
  for (const ProblemDifference& difference : differences) {
    if (difference.denominator <= 0 || difference.denominator > kDenominatorMax) {
      return std::nullopt;
    }
    common = std::lcm(common, difference.denominator);
    if (common > kDenominatorMax) {
      return std::nullopt;
    }
  }
  std::vector<std::int64_t> steps;
  std::int64_t divisor = 0;
  for (const ProblemDifference& difference : differences) {
    if (difference.numerator != 0) {
      steps.push_back(difference.numerator * (common / difference.denominator));
      divisor = std::gcd(divisor, steps.back());
    }
  }
  for (std::int64_t& step : steps) {
    step /= divisor;
  }
  return steps;
}

/// P(|sum of randomly signed steps| >= |sum of steps|) over all 2^n signs. The sum is 2 T - R, R
/// the sum of the magnitudes and T that of a random subset of them: the table holds T's
/// distribution.
double ExactFlipP(const std::vector<std::int64_t>& steps) {
  std::int64_t reach = 0, observed = 0;
  for (const std::int64_t step : steps) {
    reach += std::abs(step);
    observed += step;
  }
  std::vector<double> probability(static_cast<std::size_t>(reach) + 1, 0.0);
  probability[0] = 1;
  std::size_t filled = 0;  // The largest sum so far.
  for (const std::int64_t step : steps) {
    const auto size = static_cast<std::size_t>(std::abs(step));
    filled += size;
    for (std::size_t sum = filled; sum >= size; --sum) {
      probability[sum] = 0.5 * (probability[sum] + probability[sum - size]);
    }
    for (std::size_t sum = 0; sum < size; ++sum) {
      probability[sum] *= 0.5;
    }
  }
  double p = 0;
  for (std::int64_t sum = 0; sum <= reach; ++sum) {
    if (std::abs(2 * sum - reach) >= std::abs(observed)) {
      p += probability[static_cast<std::size_t>(sum)];
    }
  }
  return std::clamp(p, std::numeric_limits<double>::min(), 1.0);
}

double Mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// Linear interpolation between order statistics. REQUIRES: sorted, not empty.
double SortedQuantile(const std::vector<double>& sorted, double probability) {
  const double place = probability * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

}  // namespace

double McNemarExactP(std::int64_t b, std::int64_t c) {
  if (b == c) {
    return 1;  // Includes b = c = 0.
  }
  // P(Bin(n, 1/2) <= k) = I(1/2; n - k, k + 1), with k the smaller count and n - k the larger.
  const auto fewer = static_cast<double>(std::min(b, c));
  const auto more = static_cast<double>(std::max(b, c));
  const double p = 2 * boost::math::ibeta(more, fewer + 1, 0.5);
  return std::clamp(p, std::numeric_limits<double>::min(), 1.0);
}

std::optional<double> OddsRatio(std::int64_t b, std::int64_t c) {
  if (c == 0) {
    return b == 0 ? std::nullopt : std::optional(std::numeric_limits<double>::infinity());
  }
  return static_cast<double>(b) / static_cast<double>(c);
}

std::vector<double> BenjaminiHochberg(const std::vector<double>& p_values) {
  std::vector<std::size_t> order(p_values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t left, std::size_t right) {
    return p_values[left] < p_values[right];
  });
  std::vector<double> adjusted(p_values.size());
  double least = 1;
  for (std::size_t rank = order.size(); rank > 0; --rank) {
    const std::size_t at = order[rank - 1];
    const double scale = static_cast<double>(order.size()) / static_cast<double>(rank);
    least = std::min(least, p_values[at] * scale);
    adjusted[at] = least;
  }
  return adjusted;
}

double SignFlipMonteCarloP(const std::vector<double>& differences,
                           int permutations,
                           std::uint64_t seed) {
  double observed = 0, reach = 0;
  for (const double difference : differences) {
    observed += difference;
    reach += std::abs(difference);
  }
  // Sums of the same terms in another sign order differ in the last bits; a tie counts as a hit.
  const double threshold = std::abs(observed) - 1e-12 * reach;
  RandomStream random(seed);
  std::int64_t hits = 0;
  for (int i = 0; i < permutations; ++i) {
    double sum = 0;
    std::uint64_t bits = 0;
    for (std::size_t at = 0; at < differences.size(); ++at) {
      bits = at % 64 == 0 ? random.Bits() : bits >> 1;
      sum += (bits & 1) != 0 ? differences[at] : -differences[at];
    }
    hits += std::abs(sum) >= threshold ? 1 : 0;
  }
  return static_cast<double>(1 + hits) / static_cast<double>(1 + std::int64_t{permutations});
}

double SignFlipP(const std::vector<ProblemDifference>& differences,
                 int permutations,
                 std::uint64_t seed) {
  std::vector<double> values;
  for (const ProblemDifference& difference : differences) {
    if (difference.value != 0) {
      values.push_back(difference.value);
    }
  }
  if (values.empty()) {
    return 1;
  }
  if (const auto steps = WholeSteps(differences)) {
    std::int64_t reach = 0;
    for (const std::int64_t step : *steps) {
      reach += std::abs(step);
    }
    if (reach <= kExactFlipStepsMax / static_cast<std::int64_t>(steps->size())) {
      return ExactFlipP(*steps);
    }
  }
  return SignFlipMonteCarloP(values, permutations, seed);
}

std::optional<Interval> BootstrapInterval(const std::vector<double>& values,
                                          double confidence,
                                          int resamples,
                                          std::uint64_t seed) {
  if (values.size() < 2) {
    return std::nullopt;
  }
  RandomStream random(seed);
  const auto count = static_cast<std::uint32_t>(values.size());
  std::vector<double> means(static_cast<std::size_t>(resamples));
  for (double& mean : means) {
    double sum = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
      sum += values[random.Below(count)];
    }
    mean = sum / count;
  }
  std::sort(means.begin(), means.end());
  const double tail = (1 - confidence) / 2;
  return Interval{SortedQuantile(means, tail), SortedQuantile(means, 1 - tail)};
}

std::optional<double> MinimumDetectableDifference(const std::vector<double>& values,
                                                  double alpha,
                                                  double power) {
  if (values.size() < 2) {
    return std::nullopt;
  }
  const double mean = Mean(values);
  double squares = 0;
  bool differs = false;
  for (const double value : values) {
    squares += (value - mean) * (value - mean);
    differs = differs || value != values.front();
  }
  if (!differs) {
    return std::nullopt;
  }
  const auto count = static_cast<double>(values.size());
  const double deviation = std::sqrt(squares / (count - 1));
  return (NormalQuantile(1 - alpha / 2) + NormalQuantile(power)) * deviation / std::sqrt(count);
}

}  // namespace bitsweep
