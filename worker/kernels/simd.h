// The inner loops of the CPU ops, compiled once for each instruction set and chosen once at run
// time. It exists so that a binary built anywhere runs on a machine without AVX-512 and still uses
// it where it is there. Thread rule: the table is constant; the loops write only what their
// arguments name.
#pragma once

#include <cstdint>

namespace bitsweep::kernels {

/// Columns of one strip of a packed matrix (matmul.h) and the multiple that candidate tables are
/// padded to.
inline constexpr std::int64_t kStripColumns = 32;
inline constexpr std::int64_t kCandidatePadding = 16;

/// Pads `k` candidates to the length that the loops read.
constexpr std::int64_t PaddedCandidates(std::int64_t k) {
  return (k + kCandidatePadding - 1) / kCandidatePadding * kCandidatePadding;
}

struct SimdLoops {
  const char* name;  // "avx512", "avx2", "baseline"

  /// best[r] = arg min_k  a[r] * norms[k] - sum_d v[r*g+d] * table[d*k_padded+k], the lowest k on
  /// ties. k_padded is a multiple of kCandidatePadding; padding has norm kPaddingNorm and zero
  /// entries.
  void (*argmin)(std::int64_t rows,
                 std::int64_t g,
                 std::int64_t k_padded,
                 const float* a,
                 const float* v,
                 const float* norms,
                 const float* table,
                 std::int32_t* best);

  /// scores[k] = a * norms[k] - sum_d v[d] * table[d*k_padded+k] for every k < k_padded.
  void (*scores)(std::int64_t g,
                 std::int64_t k_padded,
                 float a,
                 const float* v,
                 const float* norms,
                 const float* table,
                 float* scores);

  /// transformed[d*k_padded+k] = sum_e table[e*k_padded+k] h[e*g+d] (the rows C_k H for a symmetric
  /// block h [g, g], transposed) and norms[k] = C_k h C_k^T, for every k < k_padded.
  void (*metric)(std::int64_t g,
                 std::int64_t k_padded,
                 const float* h,
                 const float* table,
                 float* transformed,
                 float* norms);

  /// sum_n a[n] b[n]: f32 lanes, joined in double.
  double (*dot)(std::int64_t n, const float* a, const float* b);

  /// c[r*ldc + n] (+)= sum_k a[r*lda + k] * strip[k*kStripColumns + n] for `columns` <=
  /// kStripColumns columns.
  void (*strip)(std::int64_t rows,
                std::int64_t depth,
                std::int64_t columns,
                const float* a,
                std::int64_t lda,
                const float* strip,
                float* c,
                std::int64_t ldc,
                bool accumulate);
};

/// A norm that never wins against a real candidate and does not overflow when scaled by a squared
/// scale.
inline constexpr float kPaddingNorm = 1e30F;

/// The best loops this processor runs. BITSWEEP_SIMD=baseline|avx2|avx512 in the environment
/// chooses lower ones (tests).
const SimdLoops& ActiveSimd();

/// Every set that this processor runs, lowest first, ended by nullptr: what tests iterate over.
const SimdLoops* const* AvailableSimd();

}  // namespace bitsweep::kernels
