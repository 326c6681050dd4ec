#include "worker/engine/quantize/block_replicas.h"

#include <map>
#include <string>
#include <utility>

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/GradMode.h>

#include "worker/engine/device_list.h"

namespace bitsweep::engine {
namespace {

// Replaces linears that are multiplied together by views of one storage, so that the forward pass
// joins them without a copy.
void MakeNeighbours(const std::vector<at::Tensor*>& parts) {
  std::vector<at::Tensor> values;
  for (const at::Tensor* part : parts) {
    values.push_back(*part);
  }
  const at::Tensor joined = at::cat(values);
  std::int64_t row = 0;
  for (at::Tensor* part : parts) {
    const std::int64_t rows = part->size(0);
    *part = joined.narrow(0, row, rows);
    row += rows;
  }
}

}  // namespace

BlockReplicas::BlockReplicas(const ModelConfig& config,
                             std::int64_t positions,
                             std::vector<at::Device> devices,
                             at::ScalarType dtype)
    : config_(config), devices_(std::move(devices)), dtype_(dtype) {
  for (const at::Device device : devices_) {
    replicas_.push_back({.weights = {}, .rope = MakeRopeTable(config, positions, device)});
  }
}

void BlockReplicas::Load(const Checkpoint& source, std::int64_t layer) {
  RunOnDevices(devices_, [&](std::size_t d) {
    replicas_[d].weights = LoadBlock(source, layer, dtype_, devices_[d]);
  });
  SettleKernels();
}

// libtorch settles in its first calls which attention kernels it prefers. Two threads that make
// their first calls at once may get different ones, and with them different bits in this call: seen
// with libtorch 2.11 on two H200. So the first calls are made here, one by one.
void BlockReplicas::SettleKernels() {
  for (std::size_t d = 0; d < devices_.size() && !settled_; ++d) {
    if (devices_[d].is_cuda()) {
      const c10::NoGradGuard no_grad;
      const c10::DeviceGuard guard(devices_[d]);
      const RopeTable& rope = replicas_[d].rope;
      const at::Tensor x = at::zeros({1, rope.cos.size(0), config_.hidden_size},
                                     replicas_[d].weights.o_proj.options());
      BlockForward(config_, replicas_[d].weights, rope, x);
    }
  }
  settled_ = true;
}

void BlockReplicas::LoadStored(const CheckpointWriter& writer, std::int64_t layer) {
  const std::map<std::string, QuantizedLinear> linears = writer.ReadBlock(layer);
  const BlockNorms norms = writer.ReadBlockNorms(layer);
  RunOnDevices(devices_, [&](std::size_t d) {
    const c10::NoGradGuard no_grad;
    BlockWeights& weights = replicas_[d].weights;
    for (const auto& [name, linear] : linears) {
      // Rounded to f16 as whoever loads the checkpoint rounds it (LoadBlock).
      weights.Linear(name) = DequantizeOn(linear, devices_[d]).to(at::kHalf).to(dtype_);
    }
    MakeNeighbours({&weights.q_proj, &weights.k_proj, &weights.v_proj});
    MakeNeighbours({&weights.gate_proj, &weights.up_proj});
    weights.input_layernorm = norms.input_layernorm.to(devices_[d], dtype_);
    weights.post_attention_layernorm = norms.post_attention_layernorm.to(devices_[d], dtype_);
  });
  SettleKernels();
}

at::Tensor DequantizeOn(const QuantizedLinear& linear, at::Device device) {
  if (device.is_cpu()) {
    return Dequantize(linear);
  }
  // The same sums in the same order. The codes are in range: who reads a file checks them.
  const at::Tensor codes = linear.codes.to(device);
  const std::int64_t rows = codes.size(0);
  const std::int64_t group_size = linear.codebooks.size(3);
  at::Tensor sum = at::zeros({rows * codes.size(1), group_size},
                             at::TensorOptions().dtype(at::kFloat).device(device));
  for (std::int64_t m = 0; m < codes.size(2); ++m) {
    const at::Tensor codebook =
        linear.codebooks.select(0, m).to(device, at::kFloat).reshape({-1, group_size});
    sum.add_(codebook.index_select(0, codes.select(2, m).reshape({-1})));
  }
  return sum.view({rows, -1}) * linear.scales.to(device, at::kFloat).reshape({rows, 1});
}

}  // namespace bitsweep::engine
