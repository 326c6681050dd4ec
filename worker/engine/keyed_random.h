// Random numbers keyed by what they are for, not by when they are drawn: a resumed quantization, or
// one whose linears run in another order or on other threads, draws the same numbers. Thread rule:
// one KeyedRandom belongs to one thread; making one is free.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <numeric>
#include <vector>

namespace bitsweep::engine {

/// SplitMix64 (Steele, Lea, Flood 2014) over a state that hashes the key. The sequence is part of
/// the `quantize` semantics.
class KeyedRandom {
 public:
  explicit KeyedRandom(std::initializer_list<std::uint64_t> key) {
    for (const std::uint64_t part : key) {
      state_ = Mix(state_ + 0x9e3779b97f4a7c15ULL) ^ part;
    }
    state_ = Mix(state_);
  }

  std::uint64_t Next() {
    state_ += 0x9e3779b97f4a7c15ULL;
    return Mix(state_);
  }

  /// Uniform in [0, bound), without bias. REQUIRES: bound > 0.
  std::uint64_t Below(std::uint64_t bound) {
    const std::uint64_t limit = ~std::uint64_t{0} - ~std::uint64_t{0} % bound;
    std::uint64_t draw = Next();
    while (draw >= limit) {
      draw = Next();
    }
    return draw % bound;
  }

  /// The first `count` entries of a random permutation of 0..size-1 (Fisher-Yates). REQUIRES: count
  /// <= size.
  std::vector<std::int32_t> Permutation(std::int64_t size, std::int64_t count) {
    std::vector<std::int32_t> order(static_cast<std::size_t>(size));
    std::iota(order.begin(), order.end(), 0);
    for (std::int64_t i = 0; i < count; ++i) {
      const auto other = i + static_cast<std::int64_t>(Below(static_cast<std::uint64_t>(size - i)));
      std::swap(order[static_cast<std::size_t>(i)], order[static_cast<std::size_t>(other)]);
    }
    order.resize(static_cast<std::size_t>(count));
    return order;
  }
  std::vector<std::int32_t> Permutation(std::int64_t size) { return Permutation(size, size); }

 private:
  static std::uint64_t Mix(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }

  std::uint64_t state_ = 0;
};

}  // namespace bitsweep::engine
