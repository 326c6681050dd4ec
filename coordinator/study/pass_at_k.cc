#include "coordinator/study/pass_at_k.h"

#include <algorithm>

#include <absl/strings/str_cat.h>

namespace bitsweep {

absl::StatusOr<double> PassAtK(std::int64_t n, std::int64_t c, std::int64_t k) {
  if (n < 1 || c < 0 || c > n || k < 1 || k > n) {
    return absl::InvalidArgumentError(absl::StrCat("pass@",
                                                   k,
                                                   " of ",
                                                   c,
                                                   " passes in ",
                                                   n,
                                                   " samples; allowed: 1 <= k <= samples, 0 <= "
                                                   "passes <= samples"));
  }
  if (k == 1) {
    return static_cast<double>(c) / static_cast<double>(n);  // To the last bit.
  }
  // C(n - c, k) / C(n, k) = product of (n - c - i) / (n - i) for i in [0, k); equally, with c and k
  // exchanged, which is shorter where c < k. A factor of 0 ends it: every draw then holds a pass.
  const std::int64_t removed = std::max(c, k);
  const std::int64_t factors = std::min(c, k);
  double none_passes = 1;
  for (std::int64_t i = 0; i < factors; ++i) {
    none_passes *= static_cast<double>(std::max<std::int64_t>(n - removed - i, 0)) /
                   static_cast<double>(n - i);
  }
  return 1 - none_passes;
}

absl::StatusOr<double> CellPassAtK(const CellOutcomes& cell, std::int64_t k) {
  if (cell.problems.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(cell.model,
                                                   " ",
                                                   cell.precision,
                                                   " on ",
                                                   cell.benchmark,
                                                   ", ",
                                                   cell.language,
                                                   ": no problems"));
  }
  double sum = 0;
  for (const ProblemOutcomes& problem : cell.problems) {
    const auto passes = std::count(problem.passed.begin(), problem.passed.end(), true);
    auto value = PassAtK(static_cast<std::int64_t>(problem.passed.size()), passes, k);
    if (!value.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("problem '", problem.problem, "': ", value.status().message()));
    }
    sum += *value;
  }
  return sum / static_cast<double>(cell.problems.size());
}

}  // namespace bitsweep
