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
#include "worker/engine/finetune/code_moves.h"
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
  /// `with_code_gradients`: whether a pass's gradients hold those at codes, dense ones.
  /// `bf16_products`: of the blocks' linears; the rest of a pass stays in `dtype`. Throws
  /// kBadInput naming a linear that is not quantized.
  Student(const Checkpoint& checkpoint,
          std::int64_t positions,
          at::ScalarType dtype,
          at::Device device,
          bool with_code_gradients = false,
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

  /// The codes of parameters()[at] go towards W^ - step (code_moves.h); side by side for distinct
  /// ones.
  std::int64_t MoveCodes(std::size_t at,
                         const at::Tensor& step,
                         const at::Tensor& curvature,
                         const CodeMoveOptions& options,
                         double reach);
  /// After codes among parameters() were written to.
  void AdoptCodes();

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
