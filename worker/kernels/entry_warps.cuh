// How codebook entries are divided over warps by the segmented sums, for .cu files only. Thread
// rule: device functions of whole blocks.
#pragma once

#include "worker/kernels/codebook_gradient.h"
#include "worker/kernels/launch.cuh"

namespace bitsweep::kernels {

constexpr int kEntryWarps = 8;  // Of a block.

/// Many entries with few positions each take a warp each, few entries a whole block each.
inline bool OneWarpAnEntry(const CodeShape& n) {
  return n.M * n.K >= 4096;
}

template <int WARPS>
unsigned EntryBlocks(const CodeShape& n) {
  return Blocks(n.M * n.K, kEntryWarps / WARPS);
}

struct EntryShare {
  std::int64_t entry = -1;  // m * K + k, or -1 beyond the last
  int part = 0;             // Of WARPS
  int begin = 0;            // Of the whole entry; both 0 beyond the last
  int end = 0;
  const std::int32_t* positions = nullptr;
};

template <int WARPS>
__device__ inline EntryShare ShareOf(const DeviceCodeIndex& index) {
  const CodeShape& n = index.shape;
  EntryShare share;
  const int warp = static_cast<int>(threadIdx.x / 32);
  const std::int64_t entry =
      static_cast<std::int64_t>(blockIdx.x) * (kEntryWarps / WARPS) + warp / WARPS;
  share.part = warp % WARPS;
  if (entry < n.M * n.K) {
    const std::int64_t m = entry / n.K;
    const std::int32_t* begins = index.begins + m * (n.K + 1) + entry % n.K;
    share.entry = entry;
    share.begin = begins[0];
    share.end = begins[1];
    share.positions = index.positions + m * n.O * n.I;
  }
  return share;
}

}  // namespace bitsweep::kernels
