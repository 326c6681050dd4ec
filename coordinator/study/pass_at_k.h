// pass@k: the chance that one of k completions of a problem passes, estimated from n >= k of them.
// Pure free functions: any thread.
#pragma once

#include <cstdint>

#include <absl/status/statusor.h>

#include "coordinator/study/outcomes.h"

namespace bitsweep {

/// The unbiased estimator 1 - C(n - c, k) / C(n, k) (Chen et al., arXiv 2107.03374) as a product of
/// fractions, which neither overflows nor cancels; at k = 1 it is c / n. INVALID_ARGUMENT: c not in
/// [0, n] or k not in [1, n].
absl::StatusOr<double> PassAtK(std::int64_t n, std::int64_t c, std::int64_t k);

/// Mean over the problems of a cell, in [0, 1]. INVALID_ARGUMENT: no problems, or a problem with
/// fewer than k samples, which is named.
absl::StatusOr<double> CellPassAtK(const CellOutcomes& cell, std::int64_t k);

}  // namespace bitsweep
