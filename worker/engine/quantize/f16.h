// IEEE half precision by hand: the stored form of codebooks, scales and plain weights, without a
// tensor library. Thread rule: pure functions.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

namespace bitsweep::engine {

/// The nearest half (ties to even), as the f32 it decodes to; beyond 65504 + half a step: infinity.
inline float RoundToF16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t exponent = (bits >> 23) & 0xffU;
  if (exponent == 0xffU) {
    return value;
  }
  // Halves have 10 fraction bits down to 2^-14 and a fixed step of 2^-24 below: adding and
  // subtracting a number whose own step is the wanted one rounds to nearest even in hardware.
  const std::uint32_t scale_exponent = (exponent < 113 ? 113U : exponent) + 13U;
  const auto anchor =
      std::bit_cast<float>((bits & 0x80000000U) | (scale_exponent << 23) | 0x400000U);
  volatile float sum = value + anchor;
  const float rounded = sum - anchor;
  const float magnitude = rounded < 0 ? -rounded : rounded;
  if (magnitude > 65504.0F) {
    return std::bit_cast<float>((bits & 0x80000000U) | 0x7f800000U);
  }
  return rounded;
}

inline void RoundToF16(std::vector<float>* values) {
  for (float& value : *values) {
    value = RoundToF16(value);
  }
}

}  // namespace bitsweep::engine
