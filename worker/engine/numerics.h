// The torch values of a spec's `numerics`. Thread rule: any thread.
#pragma once

#include <ATen/core/Tensor.h>

#include "worker/engine/stage.h"

namespace bitsweep::engine {

/// Throws kBadInput on an unknown spelling, and on "cuda" where this libtorch has no CUDA or the
/// machine no device.
at::Device DeviceOf(const Numerics& numerics);
/// "f32" | "f16" | "bf16". Throws kBadInput on another spelling.
at::ScalarType DtypeOf(const Numerics& numerics);

}  // namespace bitsweep::engine
