// A block's weights on every device of a quantization. Thread rule: one thread calls; the devices
// work side by side.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "worker/engine/checkpoint/checkpoint.h"
#include "worker/engine/checkpoint/writer.h"
#include "worker/engine/model/llama.h"

namespace bitsweep::engine {

/// What one device needs of a block.
struct BlockReplica {
  BlockWeights weights;
  RopeTable rope;
};

class BlockReplicas {
 public:
  BlockReplicas(const ModelConfig& config,
                std::int64_t positions,
                std::vector<at::Device> devices,
                at::ScalarType dtype);

  /// The full-precision block `layer`, in place of what was there.
  void Load(const Checkpoint& source, std::int64_t layer);
  /// The block as `writer` has stored it, rounded as whoever loads the checkpoint rounds it.
  void LoadStored(const CheckpointWriter& writer, std::int64_t layer);

  const std::vector<at::Device>& devices() const { return devices_; }
  const ModelConfig& config() const { return config_; }
  BlockReplica& operator[](std::size_t device) { return replicas_[device]; }
  const BlockReplica& operator[](std::size_t device) const { return replicas_[device]; }

 private:
  void SettleKernels();

  const ModelConfig& config_;
  const std::vector<at::Device> devices_;
  const at::ScalarType dtype_;
  std::vector<BlockReplica> replicas_;  // One a device.
  bool settled_ = false;
};

/// The values that Dequantize (checkpoint.h) defines, computed on `device`: [O, I*g] f32, the same
/// bits.
at::Tensor DequantizeOn(const QuantizedLinear& linear, at::Device device);

}  // namespace bitsweep::engine
