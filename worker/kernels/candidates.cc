#include "worker/kernels/candidates.h"

#include "worker/kernels/simd.h"

namespace bitsweep::kernels {

void CandidateTable::Pack(const float* centroids, std::int64_t k, std::int64_t g) {
  candidates = k;
  padded = PaddedCandidates(k);
  group = g;
  table.assign(static_cast<std::size_t>(padded * g), 0.0F);
  for (std::int64_t i = 0; i < k; ++i) {
    for (std::int64_t d = 0; d < g; ++d) {
      table[static_cast<std::size_t>(d * padded + i)] = centroids[i * g + d];
    }
  }
}

}  // namespace bitsweep::kernels
