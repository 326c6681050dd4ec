// QuantizeLinear on a GPU: the same method, random numbers and end of epochs as on the CPU, with the
// state of the linear in device memory throughout; only losses and steps' lengths come back before
// the result. Products are f32 (not tf32). Exists in builds with BITSWEEP_CUDA. Thread rule: one
// call at a time on a device; it works on torch's current stream.
#pragma once

#include <string>

#include "worker/engine/quantize/linear_methods.h"

namespace bitsweep::engine {

/// As QuantizeLinear, for group_size 8 and least squares. The same bits for the same inputs on one
/// kind of device; against the CPU's result codes part where scores tie within rounding. Throws also
/// kBug: CUDA's own error.
LinearResult QuantizeLinearCuda(const LinearTensors& tensors,
                                const LinearQuantizeOptions& options,
                                const LinearKey& key,
                                const std::string& name);

}  // namespace bitsweep::engine
