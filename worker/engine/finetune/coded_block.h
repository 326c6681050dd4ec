// A quantized transformer block while it is trained: two norms and seven linears of codes. Thread
// rule: Leaves and Pull may run in several threads at once while nobody moves values or codes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "worker/engine/checkpoint/checkpoint.h"
#include "worker/engine/finetune/code_choice.h"
#include "worker/engine/finetune/linear_codes.h"
#include "worker/engine/finetune/parameters.h"
#include "worker/engine/model/llama.h"

namespace bitsweep::engine {

class CodedBlock {
 public:
  /// `prefix` is "model.layers.3."; `linears` has ModelConfig::LinearNames(). Values are copied to
  /// `dtype` on `device`.
  /// `bf16_products`: the leaves of linears are bf16, and what multiplies them with them.
  CodedBlock(const std::string& prefix,
             const std::map<std::string, QuantizedLinear>& linears,
             const at::Tensor& input_layernorm,
             const at::Tensor& post_attention_layernorm,
             at::ScalarType dtype,
             at::Device device,
             bool bf16_products = false);

  /// The two norms, then codebooks, scales and codes of each linear in the order of LinearNames();
  /// in the place of codes that are offered alternatives the logits of these.
  std::vector<Parameter>& parameters() { return parameters_; }
  const std::vector<Parameter>& parameters() const { return parameters_; }

  /// The block as dense weights, each a leaf of a new graph when `gradients`.
  BlockWeights Leaves(bool gradients) const;
  /// From the leaves' gradients to those of parameters(), into gradients[0] .. [size - 1]; those of
  /// codes stay undefined, those of logits do not.
  void Pull(BlockWeights& leaves, at::Tensor* gradients) const;

  /// Alternatives near the original weights, [O, I*g] by name (code_choice.h).
  void OfferCodes(const std::map<std::string, at::Tensor>& weights,
                  const CodeChoiceOptions& options);
  void SoftenCodes(double temperature);
  void SettleCodes();
  void RestoreCodes();
  std::int64_t CodeBytes() const;

  /// As they are now: f32 on the CPU, by name.
  std::map<std::string, QuantizedLinear> Linears() const;

 private:
  std::vector<Parameter> parameters_;
  std::vector<LinearCodes> codes_;  // One a linear; the tensors are those of parameters_.
  bool offers_codes_ = false;
  bool bf16_products_;
};

}  // namespace bitsweep::engine
