// Philox 4x32-10, a counter-based generator (Salmon et al., "Parallel random numbers: as easy as 1,
// 2, 3", SC11): the same key and counter give the same words, so a draw depends on what it is for
// and never on what was drawn before it. Thread rule: free functions without state; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace bitsweep::engine {

using PhiloxCounter = std::array<std::uint32_t, 4>;
using PhiloxKey = std::array<std::uint32_t, 2>;

/// Ten rounds. Known answer: counter and key zero give 6627e8d5 e169c58d bc57ac4c 9b00dbd8.
constexpr PhiloxCounter Philox4x32(PhiloxCounter counter, PhiloxKey key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53U} * counter[0];
    const std::uint64_t b = std::uint64_t{0xCD9E8D57U} * counter[2];
    counter = {static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ key[0],
               static_cast<std::uint32_t>(b),
               static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ key[1],
               static_cast<std::uint32_t>(a)};
    key = {key[0] + 0x9E3779B9U, key[1] + 0xBB67AE85U};
  }
  return counter;
}

/// FNV-1a, 64 bits: how a problem's name enters the counter.
constexpr std::uint64_t NameHash(std::string_view name) {
  std::uint64_t hash = 0xCBF29CE484222325U;
  for (const char c : name) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3U;
  }
  return hash;
}

/// The draw of one token: uniform in [0, 1), a multiple of 2^-53. `position` counts completion
/// tokens from 0.
constexpr double UniformDraw(std::uint64_t seed,
                             std::uint64_t name_hash,
                             std::uint32_t sample,
                             std::uint32_t position) {
  const PhiloxCounter words =
      Philox4x32({position,
                  sample,
                  static_cast<std::uint32_t>(name_hash),
                  static_cast<std::uint32_t>(name_hash >> 32)},
                 {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
  const std::uint64_t bits = (std::uint64_t{words[0]} << 21) ^ (std::uint64_t{words[1]} >> 11);
  return static_cast<double>(bits) * 0x1.0p-53;
}

}  // namespace bitsweep::engine
