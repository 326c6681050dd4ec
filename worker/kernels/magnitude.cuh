// Powers of two that bring values into the range of a half, for .cu files only. Scaling by them is
// exact, so that scores keep their order. Thread rule: QueueLargestMagnitude queues work.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "worker/kernels/device.h"

namespace bitsweep::kernels {

/// out[0] = max |x|, 0 without values.
KernelStatus QueueLargestMagnitude(std::int64_t count,
                                   const float* x,
                                   float* out,
                                   DeviceStream stream);

/// The power of two that brings `largest` into [target, 2 target) for a power of two `target`;
/// 1 where there is nothing to scale.
__device__ inline float PowerOfTwoFor(float largest, float target) {
  if (!(largest > 1e-30F && largest < 1e30F)) {
    return 1.0F;
  }
  return ldexpf(target, -ilogbf(largest));
}

}  // namespace bitsweep::kernels
