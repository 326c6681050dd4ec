// Which device quantizes which linear of a block. Thread rule: free functions without state.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "worker/engine/checkpoint/model_config.h"
#include "worker/engine/quantize/block_statistics.h"
#include "worker/engine/quantize/linear_quantizer.h"

namespace bitsweep::engine {

/// The seconds of a linear of out_features x in_features, up to a factor: products with H cost
/// out * in^2, scores of candidates out * in * M * K / g. The factors between them are those of the
/// shapes measured in tests/bench/README.md, "Every linear of a 7B model".
double LinearCost(std::int64_t out_features,
                  std::int64_t in_features,
                  const LinearQuantizeOptions& options);

/// How the linears of a block are divided.
struct LinearSpread {
  struct Work {
    std::size_t linear = 0;  // Index in ModelConfig::LinearNames().
    std::size_t device = 0;
  };
  std::vector<Work> work;       // The dearest first; each to the device with least to do so far.
  std::array<std::size_t, kTapCount> homes{};  // The device of each tap's dearest linear.
};
LinearSpread SpreadLinears(const ModelConfig& config,
                           const LinearQuantizeOptions& options,
                           std::size_t devices);

}  // namespace bitsweep::engine
