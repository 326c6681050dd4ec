// Reproducible inputs for the kernels' tests.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

namespace bitsweep::kernels {

inline std::vector<float> Normals(std::int64_t count, unsigned seed, float deviation = 1.0F) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal(0.0F, deviation);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) {
    value = normal(engine);
  }
  return values;
}

inline std::vector<std::int32_t> Codes(std::int64_t count, std::int64_t k, unsigned seed) {
  std::mt19937 engine(seed);
  std::uniform_int_distribution<std::int32_t> uniform(0, static_cast<std::int32_t>(k - 1));
  std::vector<std::int32_t> codes(static_cast<std::size_t>(count));
  for (std::int32_t& code : codes) {
    code = uniform(engine);
  }
  return codes;
}

/// X^T X / n of n correlated samples: symmetric, positive definite, [size, size].
inline std::vector<float> Xtx(std::int64_t size, unsigned seed) {
  const std::int64_t samples = 2 * size + 3;
  std::vector<float> x = Normals(samples * size, seed);
  for (std::int64_t s = 0; s < samples; ++s) {
    for (std::int64_t i = 1; i < size; ++i) {
      x[static_cast<std::size_t>(s * size + i)] +=
          0.7F * x[static_cast<std::size_t>(s * size + i - 1)];
    }
  }
  std::vector<float> h(static_cast<std::size_t>(size * size));
  for (std::int64_t a = 0; a < size; ++a) {
    for (std::int64_t b = 0; b <= a; ++b) {
      double sum = 0.0;
      for (std::int64_t s = 0; s < samples; ++s) {
        sum += static_cast<double>(x[static_cast<std::size_t>(s * size + a)]) *
               static_cast<double>(x[static_cast<std::size_t>(s * size + b)]);
      }
      h[static_cast<std::size_t>(a * size + b)] = h[static_cast<std::size_t>(b * size + a)] =
          static_cast<float>(sum / static_cast<double>(samples));
    }
  }
  return h;
}

}  // namespace bitsweep::kernels
