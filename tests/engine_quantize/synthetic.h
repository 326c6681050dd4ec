// A linear with weights and inputs that look like a small model's: normal weights, correlated
// inputs.
#pragma once

#include <cstdint>
#include <vector>

#include "worker/engine/quantize/linear_quantizer.h"

namespace bitsweep::engine {

struct SyntheticLinear {
  SyntheticLinear(std::int64_t out_features, std::int64_t in_features, unsigned seed);
  LinearProblem Problem() const {
    return {.out_features = out, .in_features = in, .weight = weight.data(), .xtx = xtx.data()};
  }

  std::int64_t out, in;
  std::vector<float> weight;  // [out, in]
  std::vector<float> xtx;     // [in, in]
};

}  // namespace bitsweep::engine
