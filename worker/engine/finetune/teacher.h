// The full-precision model that a student is compared with: its hidden states after the final norm,
// computed when a sequence is first asked for and kept where they fit (a fraction of the logits,
// which the head gives back). Thread rule: Hidden may run in several threads for distinct
// sequences.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include "worker/engine/model/llama.h"

namespace bitsweep::engine {

/// Kept hidden states take at most this many bytes; where all sequences' together take more, none
/// are kept and each pass computes its own.
inline constexpr std::int64_t kTeacherBytesMax = std::int64_t{1} << 30;

class Teacher {
 public:
  /// `ids` [sequences, T] i64 on the CPU. Weights in half precision are made f32 a block at a time;
  /// everything is computed in f32, its products in tf32 if `tf32` (numerics.h).
  Teacher(std::shared_ptr<const LlamaModel> model, at::Tensor ids, bool tf32 = false);

  /// What Teacher takes: on a GPU in the half-precision type that the checkpoint has all its weights in, half of f32's
  /// memory for a little work in each pass; on the CPU in f32.
  static std::shared_ptr<const LlamaModel> Load(const Checkpoint& checkpoint, at::Device device);

  /// -> [sequences.size() * T, h] f32 on the model's device.
  at::Tensor Hidden(const std::vector<std::int64_t>& sequences);
  /// [V, h]
  const at::Tensor& head() const { return model_->lm_head; }

 private:
  at::Tensor Compute(std::int64_t sequence) const;

  const std::shared_ptr<const LlamaModel> model_;
  const at::Tensor ids_;
  const bool keeps_;
  const bool tf32_;
  std::vector<at::Tensor> kept_;  // [T, h] each, undefined until asked for.
};

}  // namespace bitsweep::engine
