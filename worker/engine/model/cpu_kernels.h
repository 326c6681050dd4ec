// The loops of f32 generation on the CPU: matrix product with packed weights, RMSNorm, rotary
// embedding, attention over a key/value cache, SwiGLU. Why own loops: a small model at a small
// batch spends its time in the dispatch of tensor operations and in BLAS re-packing the weights at
// every call; and every result here depends on its own row alone (each output is summed over its
// inputs in the same order whatever the number of rows), so that batch size, order and thread never
// change a bit of a completion. Compiled three times (baseline, AVX2 + FMA, AVX-512) from
// cpu_kernels.inc; the best that the CPU has is used. The three may differ in the last bits. Thread
// rule: free functions without state; any thread.
#pragma once

#include <cstdint>

namespace bitsweep::engine {

/// Cache positions come in blocks of this many: keys lie as [Hkv, S / kPositionBlock, D,
/// kPositionBlock], so that scores are vectors over positions and the cache is read from front to
/// back. Values lie as [Hkv, S, Dp], Dp = D rounded up to kPositionBlock, the padding zero.
inline constexpr std::int64_t kPositionBlock = 16;

/// y[m, n] = x[m, k] * w[n, k]^T, or added to y where `add`. `packed` holds w as pack() lays it
/// out.
struct MatmulArgs {
  const float* x;       // [m, k], rows `x_stride` apart
  const float* packed;  // [ceil(n / panel), k, panel]
  float* y;             // [m, n], rows `y_stride` apart; disjoint from x
  std::int64_t m, n, k, x_stride, y_stride;
  bool add;
};

/// One row of attention: q [H, D] (rotated) against positions 0..length-1 of one sequence's cache
/// in one layer.
struct AttendArgs {
  const float* q;       // [H, D]
  const float* keys;    // [Hkv, S / kPositionBlock, D, kPositionBlock]
  const float* values;  // [Hkv, S, Dp]
  float* scores;        // scratch [length rounded up to kPositionBlock]
  float* out;           // [H, D]
  std::int64_t heads, kv_heads, head_dim, positions_max, length;
};

struct CpuKernels {
  const char* name;    // "baseline", "avx2", "avx512"
  std::int64_t panel;  // Columns of a packed panel.
  void (*matmul)(const MatmulArgs& args);
  void (*attend)(const AttendArgs& args);
  /// y[h] = weight * x / sqrt(mean(x^2) + eps)
  void (*rms_norm)(const float* x, const float* weight, float* y, std::int64_t h, float eps);
  /// y[n] = silu(gate_up[0:n]) * gate_up[n:2n]
  void (*swiglu)(const float* gate_up, float* y, std::int64_t n);
};

/// The best set for this CPU; `BITSWEEP_CPU_KERNELS=baseline|avx2|avx512` in the environment picks
/// another (one that the CPU lacks is ignored).
const CpuKernels& ChooseCpuKernels();
/// Every set that this CPU can run, for tests.
const CpuKernels* const* AvailableCpuKernels(int* count);

/// w [n, k] row-major -> packed [ceil(n / panel), k, panel], zero where columns are missing.
void PackWeights(const float* w, std::int64_t n, std::int64_t k, std::int64_t panel, float* packed);
/// Floats that PackWeights writes.
std::int64_t PackedSize(std::int64_t n, std::int64_t k, std::int64_t panel);

namespace internal {
const CpuKernels& BaselineKernels();
const CpuKernels& Avx2Kernels();    // Only where BITSWEEP_X86_KERNELS.
const CpuKernels& Avx512Kernels();  // Only where BITSWEEP_X86_KERNELS.
}  // namespace internal

// Per-file instruction sets need GCC's target pragma.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define BITSWEEP_X86_KERNELS 1
#endif

}  // namespace bitsweep::engine
