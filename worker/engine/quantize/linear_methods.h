// Who quantizes a linear on which device: one table, in order of preference. Thread rule: the table
// is constant; Run as its row says.
#pragma once

#include <string>

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include "worker/engine/quantize/linear_quantizer.h"

namespace bitsweep::engine {

/// f32, contiguous, on the device that the method was chosen for.
struct LinearTensors {
  at::Tensor weight;  // [O, I*g]
  at::Tensor xtx;     // H = X^T X / tokens [I*g, I*g], exactly symmetric
};

struct LinearMethod {
  const char* name;  // What the log and the report say.
  /// Whether this build and machine can.
  bool (*serves)(at::Device device, const LinearQuantizeOptions& options);
  /// As QuantizeLinear. `threads` is for a CPU's; one linear at a time on a GPU.
  LinearResult (*run)(const LinearTensors& tensors,
                      const LinearQuantizeOptions& options,
                      const LinearKey& key,
                      const std::string& name,
                      int threads);
  bool on_cpu;  // Linears may run side by side, one thread each.
};

/// The first row that serves. There is always one: the CPU's takes tensors of any device.
const LinearMethod& ChooseLinearMethod(at::Device device, const LinearQuantizeOptions& options);

}  // namespace bitsweep::engine
