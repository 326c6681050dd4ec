// A matrix kept as codes and codebooks (arXiv 2401.06118, section 3): what the two ops that read
// one share. It exists so that `codebook_matvec` and `codebook_expand` name one layout. Thread
// rule: plain values.
#pragma once

#include <cstdint>

namespace bitsweep::kernels {

/// Groups of a row's codes are padded to a multiple of this many, so that blocks of them are
/// aligned.
inline constexpr std::int64_t kCodeBlock = 32;

/// Matrices that one call takes, which share their input: q, k and v.
inline constexpr int kCodebookPartsMax = 3;

/// I input groups, M codebooks of 2^bits entries, g weights a group.
struct CodebookShape {
  std::int64_t I = 0, M = 0, g = 0;
  int bits = 0;
  bool Valid() const { return I > 0 && M > 0 && g > 0 && bits >= 1 && bits <= 16; }
  std::int64_t K() const { return std::int64_t{1} << bits; }
  /// Of a row in `codes`, in codes.
  std::int64_t stride() const { return (I + kCodeBlock - 1) / kCodeBlock * kCodeBlock; }
  /// As a checkpoint stores a code: int8 up to 8 bits, else int16.
  std::int64_t code_bytes() const { return bits <= 8 ? 1 : 2; }
};

/// W[o, g*j : g*j+g] = scales[o] * sum_m table[m, codes[m, o, j]].
struct CodebookMatrix {
  std::int64_t O = 0;
  const void* codes = nullptr;  // [M, O, stride]; of each code its low `bits` bits count
  const void* table = nullptr;  // [M, K, g] f16
  /// The same entries, each cut into slices of d weights (PlanCodebookMatvec): [g/d, M, K, d] f16.
  /// Where d is g that is `table`. Only the device's codebook_matvec reads it.
  const void* slices = nullptr;
  const float* scales = nullptr;  // [O]
};

/// Entry of `codes` as a number in [0, K).
inline std::int64_t CodeAt(const CodebookShape& n, const void* codes, std::int64_t at) {
  const std::uint32_t stored = n.code_bytes() == 1 ? static_cast<const std::uint8_t*>(codes)[at]
                                                   : static_cast<const std::uint16_t*>(codes)[at];
  return static_cast<std::int64_t>(stored) & (n.K() - 1);
}

}  // namespace bitsweep::kernels
