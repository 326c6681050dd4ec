#include "worker/kernels/candidate_tiles.h"

#include "worker/kernels/candidate_scan.cuh"
#include "worker/kernels/launch.cuh"
#include "worker/kernels/magnitude.cuh"

namespace bitsweep::kernels {
namespace {

__device__ uint2 SplitPair(const float* centroids, int candidates, int candidate, int at, float factor) {
  float2 value = {0.0F, 0.0F};
  if (candidate < candidates) {
    value = *reinterpret_cast<const float2*>(centroids + candidate * 8 + at);
  }
  const scan::Split x = scan::SplitHalf(value.x * factor);
  const scan::Split y = scan::SplitHalf(value.y * factor);
  return {scan::PackHalves(x.hi, y.hi), scan::PackHalves(x.lo, y.lo)};
}

// One thread a lane of a tile, as the A operand of m16n8k16 wants it: values 2t, 2t+1 of candidates
// g and g + 8, hi halves as its first eight columns, lo halves as its last.
__global__ void PackTiles(int candidates,
                          int padded,
                          const float* __restrict__ centroids,
                          uint4* __restrict__ tiles,
                          float* __restrict__ scale) {
  const int at = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  const float factor = PowerOfTwoFor(scale[0], 1.0F);
  if (at == 0) {
    scale[1] = factor;
  }
  if (at >= padded * 2) {
    return;
  }
  const int first = at / 32 * 16 + at % 32 / 4;
  const uint2 upper = SplitPair(centroids, candidates, first, at % 4 * 2, factor);
  const uint2 lower = SplitPair(centroids, candidates, first + 8, at % 4 * 2, factor);
  tiles[at] = {upper.x, lower.x, upper.y, lower.y};
}

}  // namespace

KernelStatus PackCandidateTilesCuda(const CandidateTilesArgs& args, DeviceStream stream) {
  if (args.candidates <= 0) {
    return KernelStatus::kBadShape;
  }
  const KernelStatus status =
      QueueLargestMagnitude(args.candidates * kDeviceGroup, args.centroids, args.scale, stream);
  if (status != KernelStatus::kOk) {
    return status;
  }
  const std::int64_t padded = PaddedToChunks(args.candidates);
  PackTiles<<<Blocks(padded * 2, 256), 256, 0, stream>>>(static_cast<int>(args.candidates),
                                                         static_cast<int>(padded),
                                                         args.centroids,
                                                         reinterpret_cast<uint4*>(args.tiles),
                                                         args.scale);
  return LaunchStatus();
}

}  // namespace bitsweep::kernels
