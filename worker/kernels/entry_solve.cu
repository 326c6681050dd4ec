#include "worker/kernels/entry_solve.h"

#include "worker/kernels/entry_warps.cuh"
#include "worker/kernels/launch.cuh"

namespace bitsweep::kernels {
namespace {

#define BITSWEEP_DEVICE __device__
#include "worker/kernels/entry_solve.inc"
#undef BITSWEEP_DEVICE

// A lane has two of a block's 64 values. Partial sums are joined in a fixed order.
template <int WARPS>
__global__ void SumBlocks(EntryFactorArgs a, DeviceCodeIndex index) {
  __shared__ float2 partial[kEntryWarps][32];
  const EntryShare share = ShareOf<WARPS>(index);
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int warp = static_cast<int>(threadIdx.x / 32);
  float2 sum = {0.0F, 0.0F};
#pragma unroll 4
  for (int i = share.begin + share.part; i < share.end; i += WARPS) {
    const std::int64_t position = __ldg(share.positions + i);
    const float scale = __ldg(a.scales + position / a.shape.I);
    const float2 value = __ldg(reinterpret_cast<const float2*>(a.diagonal) +
                               position % a.shape.I * 32 + lane);
    sum.x = fmaf(scale * scale, value.x, sum.x);
    sum.y = fmaf(scale * scale, value.y, sum.y);
  }
  partial[warp][lane] = sum;
  __syncthreads();
  if (share.entry >= 0 && share.part == 0) {
    for (int w = 1; w < WARPS; ++w) {
      sum.x += partial[warp + w][lane].x;
      sum.y += partial[warp + w][lane].y;
    }
    reinterpret_cast<float2*>(a.factors)[share.entry * 32 + lane] = sum;
  }
}

__global__ void Factor(std::int64_t entries, float* factors) {
  const std::int64_t entry = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (entry < entries) {
    FactorBlock(factors + entry * 64);
  }
}

__global__ void Solve(std::int64_t entries,
                      const float* __restrict__ factors,
                      const float* __restrict__ r,
                      float* z) {
  const std::int64_t entry = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (entry < entries) {
    SolveBlock(factors + entry * 64, r + entry * 8, z + entry * 8);
  }
}

}  // namespace

KernelStatus EntryFactorCuda(const EntryFactorArgs& args,
                             const DeviceCodeIndex& index,
                             DeviceStream stream) {
  const CodeShape& n = args.shape;
  if (!n.Valid() || n.g != 8) {
    return KernelStatus::kBadShape;
  }
  if (OneWarpAnEntry(n)) {
    SumBlocks<1><<<EntryBlocks<1>(n), kEntryWarps * 32, 0, stream>>>(args, index);
  } else {
    SumBlocks<kEntryWarps>
        <<<EntryBlocks<kEntryWarps>(n), kEntryWarps * 32, 0, stream>>>(args, index);
  }
  const KernelStatus status = LaunchStatus();
  if (status != KernelStatus::kOk) {
    return status;
  }
  Factor<<<Blocks(n.M * n.K, 64), 64, 0, stream>>>(n.M * n.K, args.factors);
  return LaunchStatus();
}

KernelStatus EntrySolveCuda(
    std::int64_t entries, const float* factors, const float* r, float* z, DeviceStream stream) {
  if (entries < 1) {
    return KernelStatus::kBadShape;
  }
  Solve<<<Blocks(entries, 64), 64, 0, stream>>>(entries, factors, r, z);
  return LaunchStatus();
}

}  // namespace bitsweep::kernels
