// A quantized model while it is trained end to end: coded blocks, embeddings, final norm and head
// as master values, and the gradients of KL(teacher || student) by all of them. A pass keeps the
// graph of one block at a time, or of all: the backward pass goes block by block either way. Thread
// rule: Pass may run in several threads at once while nobody moves the values.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "worker/engine/checkpoint/checkpoint.h"
#include "worker/engine/checkpoint/writer.h"
#include "worker/engine/finetune/code_choice.h"
#include "worker/engine/finetune/coded_block.h"
#include "worker/engine/finetune/parameters.h"

namespace bitsweep::engine {

/// What a pass is compared with.
struct TeacherStates {
  at::Tensor hidden;  // [B * T, h], after the final norm
  at::Tensor head;    // [V, h]
};

class Student {
 public:
  /// Every linear of `checkpoint` is quantized. `positions`: of the longest sequence.
  /// `bf16_products`: of the blocks' linears; the rest of a pass stays in `dtype`. Throws
  /// kBadInput naming a linear that is not quantized.
  Student(const Checkpoint& checkpoint,
          std::int64_t positions,
          at::ScalarType dtype,
          at::Device device,
          bool bf16_products = false);
  Student(const Student&) = delete;
  Student& operator=(const Student&) = delete;

  /// Embeddings, the blocks' in depth order, codes among them, the final norm, the head (absent
  /// where tied).
  const std::vector<Parameter*>& parameters() const { return parameters_; }

  /// ids [B, T] i64 -> the mean KL over its tokens, and its gradients, one a parameter, where asked
  /// for. With `recompute` (gradient checkpointing) a pass keeps each block's input, and a block's
  /// graph exists only while gradients flow through it.
  double Pass(const at::Tensor& ids,
              const TeacherStates& teacher,
              bool recompute,
              Gradients* gradients) const;

  /// Bytes of a pass that keeps all graphs, an estimate: dense weights with their gradients, and
  /// activations.
  std::int64_t KeptGraphBytes(std::int64_t tokens, std::int64_t length) const;

  /// Codes may become others, near the weights of `teacher`, the model that was quantized
  /// (code_choice.h): parameters() hold their logits instead, and a pass has gradients of these.
  void OfferCodes(const Checkpoint& teacher, const CodeChoiceOptions& options);
  void SoftenCodes(double temperature);
  void SettleCodes();
  void RestoreCodes();
  /// What codes and alternatives take, beside parameters().
  std::int64_t CodeBytes() const;
  /// [O, I, M] i32 on the CPU, by the linears' names in the checkpoint.
  std::map<std::string, at::Tensor> Codes() const;

  /// Rounds codebooks, scales, norms, embeddings and head to the f16 values that Write stores.
  void RoundToStored();
  /// Writes the blocks and all else. `writer` is of this model and these codes.
  void Write(CheckpointWriter& writer) const;

 private:
  struct Tape;
  at::Tensor Forward(const at::Tensor& ids, bool recompute, Tape* tape) const;
  void Backward(const at::Tensor& ids, Tape& tape, at::Tensor slope, Gradients* gradients) const;
  const Parameter& Head() const { return is_tied_ ? embed_ : head_; }

  ModelConfig config_;
  bool is_tied_;
  RopeTable rope_;
  Parameter embed_, norm_, head_;
  std::vector<CodedBlock> blocks_;
  std::vector<Parameter*> parameters_;  // Into the members above.
};

}  // namespace bitsweep::engine
