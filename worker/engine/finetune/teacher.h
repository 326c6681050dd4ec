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

/// Hidden states of all sequences are kept on the model's device where they take at most this many
/// bytes.
inline constexpr std::int64_t kTeacherBytesMax = std::int64_t{1} << 30;

struct TeacherOptions {
  bool tf32 = false;  // Products in tf32 (numerics.h), all else in f32.
  std::int64_t device_bytes_max = kTeacherBytesMax;
  /// Where that is not enough: of the first sequences as many are kept in host memory as these bytes
  /// hold; passes compute the others' anew.
  std::int64_t host_bytes_max = 0;
};

class Teacher {
 public:
  /// `ids` [sequences, T] i64 on the CPU. Weights in half precision are made f32 a block at a time.
  Teacher(std::shared_ptr<const LlamaModel> model, at::Tensor ids, TeacherOptions options = {});

  /// What Teacher takes: on a GPU in the half-precision type that the checkpoint has all its weights in, half of f32's
  /// memory for a little work in each pass; on the CPU in f32.
  static std::shared_ptr<const LlamaModel> Load(const Checkpoint& checkpoint, at::Device device);

  /// -> [sequences.size() * T, h] f32 on the model's device.
  at::Tensor Hidden(const std::vector<std::int64_t>& sequences);
  /// Sequences whose states are computed once.
  std::int64_t kept() const { return kept_max_; }
  /// [V, h]
  const at::Tensor& head() const { return model_->lm_head; }

 private:
  at::Tensor Compute(std::int64_t sequence) const;

  const std::shared_ptr<const LlamaModel> model_;
  const at::Tensor ids_;
  const bool tf32_;
  bool keeps_on_device_ = false;
  std::int64_t kept_max_ = 0;     // The sequences before it are kept.
  std::vector<at::Tensor> kept_;  // [T, h] each, undefined until asked for.
};

}  // namespace bitsweep::engine
