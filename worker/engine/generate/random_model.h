// Models of random weights, for benches. Thread rule: one thread; draws from torch's generators.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "worker/engine/model/llama.h"

namespace bitsweep::engine {

/// Weights ~ N(0, 0.02^2), norms of ones, layers divided evenly over `devices`. Drawn by torch's
/// generator of the device after manual_seed(seed), in the order: embedding; of each layer q, k, v
/// as one, o, gate and up as one, down; head; by that of its own device where the layers are
/// divided. tests/bench/reference_generate.py draws the same ones. Where `config.aqlm` is set the
/// linears are codes: uniform ones, with codebooks whose sums are about as large as those weights.
std::shared_ptr<const LlamaModel> RandomModel(const ModelConfig& config,
                                              std::uint64_t seed,
                                              at::ScalarType dtype,
                                              const std::vector<at::Device>& devices);

/// One product of such codes: parts of `rows` each.
CodedProduct RandomCodes(const kernels::CodebookShape& shape,
                         const std::vector<std::int64_t>& rows,
                         at::Device device);

}  // namespace bitsweep::engine
