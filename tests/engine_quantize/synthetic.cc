#include "tests/engine_quantize/synthetic.h"

#include <random>

namespace bitsweep::engine {

SyntheticLinear::SyntheticLinear(std::int64_t out_features, std::int64_t in_features, unsigned seed)
    : out(out_features), in(in_features) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal(0.0F, 1.0F);
  for (std::int64_t i = 0; i < out * in; ++i) {
    weight.push_back(0.05F * normal(engine));
  }
  const std::int64_t samples = 3 * in;
  std::vector<float> x(static_cast<std::size_t>(samples * in));
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = normal(engine) + (i % static_cast<std::size_t>(in) == 0 ? 0.0F : 0.8F * x[i - 1]);
  }
  xtx.resize(static_cast<std::size_t>(in * in));
  for (std::int64_t a = 0; a < in; ++a) {
    for (std::int64_t b = 0; b <= a; ++b) {
      double sum = 0.0;
      for (std::int64_t s = 0; s < samples; ++s) {
        sum += static_cast<double>(x[static_cast<std::size_t>(s * in + a)]) *
               static_cast<double>(x[static_cast<std::size_t>(s * in + b)]);
      }
      xtx[static_cast<std::size_t>(a * in + b)] = xtx[static_cast<std::size_t>(b * in + a)] =
          static_cast<float>(sum / static_cast<double>(samples));
    }
  }
}

}  // namespace bitsweep::engine
