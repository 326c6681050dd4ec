// A codebook laid out for scoring: transposed, so that one register holds one coordinate of many
// candidates, and padded. Thread rule: plain value; immutable after Pack.
#pragma once

#include <cstdint>
#include <vector>

namespace bitsweep::kernels {

struct CandidateTable {
  std::int64_t candidates = 0;  // K
  std::int64_t padded = 0;      // PaddedCandidates(K)
  std::int64_t group = 0;       // g
  std::vector<float> table;     // [g, padded], zeros in the padding

  /// centroids [K, g] row-major.
  void Pack(const float* centroids, std::int64_t k, std::int64_t g);
};

}  // namespace bitsweep::kernels
