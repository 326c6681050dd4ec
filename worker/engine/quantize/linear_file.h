// A linear and its H in one safetensors file: what comparisons with other quantizers exchange.
// Thread rule: free functions.
#pragma once

#include <string>

#include <c10/core/Device.h>

#include "worker/engine/quantize/linear_methods.h"

namespace bitsweep::engine {

/// Reads `weight` [O, in] and `xtx` [in, in], any float type, as f32 on `device`. Throws kBadInput
/// naming the file, the tensor and what is wanted.
LinearTensors ReadLinearFile(const std::string& path, at::Device device);

}  // namespace bitsweep::engine
