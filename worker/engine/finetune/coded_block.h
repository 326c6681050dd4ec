// A quantized transformer block while it is trained: two norms and seven linears of codes. Thread
// rule: Leaves and Pull may run in several threads at once while nobody moves the values; MoveCodes
// may run side by side for distinct linears.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "worker/engine/checkpoint/checkpoint.h"
#include "worker/engine/finetune/code_moves.h"
#include "worker/engine/finetune/linear_codes.h"
#include "worker/engine/finetune/parameters.h"
#include "worker/engine/model/llama.h"

namespace bitsweep::engine {

class CodedBlock {
 public:
  /// `prefix` is "model.layers.3."; `linears` has ModelConfig::LinearNames(). Values are copied to
  /// `dtype` on `device`. `with_code_gradients`: whether Pull fills the places of codes.
  /// `bf16_products`: the leaves of linears are bf16, and what multiplies them with them.
  CodedBlock(const std::string& prefix,
             const std::map<std::string, QuantizedLinear>& linears,
             const at::Tensor& input_layernorm,
             const at::Tensor& post_attention_layernorm,
             at::ScalarType dtype,
             at::Device device,
             bool with_code_gradients = false,
             bool bf16_products = false);

  /// The two norms, then codebooks, scales and codes of each linear in the order of LinearNames().
  std::vector<Parameter>& parameters() { return parameters_; }
  const std::vector<Parameter>& parameters() const { return parameters_; }

  /// The block as dense weights, each a leaf of a new graph when `gradients`.
  BlockWeights Leaves(bool gradients) const;
  /// From the leaves' gradients to those of parameters(), into gradients[0] .. [size - 1].
  void Pull(BlockWeights& leaves, at::Tensor* gradients) const;

  /// The codes of parameters()[at] go towards W^ - step (code_moves.h).
  std::int64_t MoveCodes(std::size_t at,
                         const at::Tensor& step,
                         const at::Tensor& curvature,
                         const CodeMoveOptions& options,
                         double reach);
  /// After codes among parameters() were written to.
  void AdoptCodes();

  /// As they are now: f32 on the CPU, by name.
  std::map<std::string, QuantizedLinear> Linears() const;

 private:
  std::vector<Parameter> parameters_;
  std::vector<LinearCodes> codes_;  // One a linear; the tensors are those of parameters_.
  bool with_code_gradients_;
  bool bf16_products_;
};

}  // namespace bitsweep::engine
