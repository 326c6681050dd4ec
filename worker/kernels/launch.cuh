// Launching and its errors, for .cu files only. Thread rule: the last error belongs to its thread.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "worker/kernels/device.h"

namespace bitsweep::kernels {

/// kOk, or kDeviceError with the error kept for LastDeviceError().
KernelStatus Checked(cudaError_t error);

/// What a launch that came just before said.
inline KernelStatus LaunchStatus() { return Checked(cudaGetLastError()); }

/// Blocks of `size` threads for `count` elements.
inline unsigned Blocks(std::int64_t count, std::int64_t size) {
  return static_cast<unsigned>((count + size - 1) / size);
}

}  // namespace bitsweep::kernels
