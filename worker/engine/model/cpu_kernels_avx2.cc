// cpu_kernels.inc for x86-64 with AVX2 and FMA.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "worker/engine/model/cpu_kernels.h"

#ifdef BITSWEEP_X86_KERNELS

#pragma GCC push_options
#pragma GCC target("avx2,fma")

// Vectors of this width have no settled calling convention; none of them is passed between files.
#pragma GCC diagnostic ignored "-Wpsabi"

#define VECTOR_BYTES 32
#define ROW_TILE 6
#define KERNELS_NAME "avx2"

namespace bitsweep::engine::internal {
namespace {
#include "worker/engine/model/cpu_kernels.inc"
}  // namespace

const CpuKernels& Avx2Kernels() {
  return kKernels;
}

}  // namespace bitsweep::engine::internal

#pragma GCC pop_options

#endif  // BITSWEEP_X86_KERNELS
