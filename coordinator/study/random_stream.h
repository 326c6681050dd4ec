// Random numbers that are the same on every platform and compiler: the standard's generators are
// portable but its distributions are not. A counter is mixed by SplitMix64's finaliser (Steele,
// Lea, Flood, OOPSLA 2014), so a stream is its seed and a position. Internal to this room. One
// thread at a time.
#pragma once

#include <cstdint>

namespace bitsweep {

class RandomStream {
 public:
  explicit RandomStream(std::uint64_t seed) : state_(seed) {}

  /// 64 uniform bits.
  std::uint64_t Bits() {
    state_ += 0x9E3779B97F4A7C15ULL;
    std::uint64_t mixed = state_;
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9ULL;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBULL;
    return mixed ^ (mixed >> 31);
  }

  /// Uniform in [0, bound), without the bias of a remainder. REQUIRES: bound > 0.
  std::uint32_t Below(std::uint32_t bound) {
    // The first 2^32 mod bound products of each residue would come once too often (Lemire, 2019).
    const std::uint32_t reject_below = (0U - bound) % bound;
    while (true) {
      const std::uint64_t product = (Bits() >> 32) * bound;
      if (static_cast<std::uint32_t>(product) >= reject_below) {
        return static_cast<std::uint32_t>(product >> 32);
      }
    }
  }

 private:
  std::uint64_t state_;
};

}  // namespace bitsweep
