#include "worker/kernels/magnitude.cuh"

#include <algorithm>

#include "worker/kernels/launch.cuh"

namespace bitsweep::kernels {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kBlocksMax = 512;

// Magnitudes are not negative, so their bits order as they do: an integer maximum needs no loop.
__global__ void LargestMagnitude(std::int64_t count, const float* __restrict__ x, unsigned* out) {
  float largest = 0.0F;
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * kThreads;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < count;
       i += stride) {
    largest = fmaxf(largest, fabsf(x[i]));
  }
  const unsigned highest = __reduce_max_sync(0xffffffffU, __float_as_uint(largest));
  if (threadIdx.x % 32 == 0) {
    atomicMax(out, highest);
  }
}

}  // namespace

KernelStatus QueueLargestMagnitude(std::int64_t count,
                                   const float* x,
                                   float* out,
                                   DeviceStream stream) {
  const KernelStatus cleared = Checked(cudaMemsetAsync(out, 0, sizeof(float), stream));
  if (cleared != KernelStatus::kOk || count == 0) {
    return cleared;
  }
  const unsigned blocks =
      static_cast<unsigned>(std::min<std::int64_t>(kBlocksMax, (count + kThreads - 1) / kThreads));
  LargestMagnitude<<<blocks, kThreads, 0, stream>>>(count, x, reinterpret_cast<unsigned*>(out));
  return LaunchStatus();
}

}  // namespace bitsweep::kernels
