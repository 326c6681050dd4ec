// cpu_kernels.inc for any CPU of the architecture (SSE2 on x86-64).
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "worker/engine/model/cpu_kernels.h"

// Vectors of this width have no settled calling convention; none of them is passed between files.
#pragma GCC diagnostic ignored "-Wpsabi"

#define VECTOR_BYTES 16
#define ROW_TILE 4
#define KERNELS_NAME "baseline"

namespace bitsweep::engine::internal {
namespace {
#include "worker/engine/model/cpu_kernels.inc"
}  // namespace

const CpuKernels& BaselineKernels() {
  return kKernels;
}

}  // namespace bitsweep::engine::internal
