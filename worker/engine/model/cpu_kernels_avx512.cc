// cpu_kernels.inc for x86-64 with AVX-512.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "worker/engine/model/cpu_kernels.h"

#ifdef BITSWEEP_X86_KERNELS

#pragma GCC push_options
#pragma GCC target("avx2,fma,avx512f,avx512vl,avx512dq,avx512bw")

// Vectors of this width have no settled calling convention; none of them is passed between files.
#pragma GCC diagnostic ignored "-Wpsabi"

#define VECTOR_BYTES 64
#define ROW_TILE 12
#define KERNELS_NAME "avx512"

namespace bitsweep::engine::internal {
namespace {
#include "worker/engine/model/cpu_kernels.inc"
}  // namespace

const CpuKernels& Avx512Kernels() {
  return kKernels;
}

}  // namespace bitsweep::engine::internal

#pragma GCC pop_options

#endif  // BITSWEEP_X86_KERNELS
