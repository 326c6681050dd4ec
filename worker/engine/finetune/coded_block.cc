#include "worker/engine/finetune/coded_block.h"

#include <cstdint>

#include <ATen/ATen.h>

#include "worker/engine/error.h"
#include "worker/kernels/dequantize.h"

namespace bitsweep::engine {
namespace {

constexpr std::size_t kNorms = 2;

// Of a linear: codebooks, scales, codes.
constexpr std::size_t kPerLinear = 3;

std::size_t CodebooksAt(std::size_t linear) {
  return kNorms + kPerLinear * linear;
}

// A graph's leaf over the values of `value`.
at::Tensor Leaf(const at::Tensor& value, bool gradients) {
  return value.detach().set_requires_grad(gradients);
}

const at::Tensor& GradientOf(const at::Tensor& leaf) {
  if (!leaf.grad().defined()) {
    throw EngineError(FailureClass::kBug, "a block's weight got no gradient");
  }
  return leaf.grad();
}

}  // namespace

CodedBlock::CodedBlock(const std::string& prefix,
                       const std::map<std::string, QuantizedLinear>& linears,
                       const at::Tensor& input_layernorm,
                       const at::Tensor& post_attention_layernorm,
                       at::ScalarType dtype,
                       at::Device device,
                       bool bf16_products)
    : bf16_products_(bf16_products) {
  const at::TensorOptions options = at::TensorOptions().dtype(dtype).device(device);
  const auto add = [&](const std::string& name, TrainedPart part, const at::Tensor& value) {
    parameters_.push_back({prefix + name,
                           part,
                           value.to(options, /*non_blocking=*/false, /*copy=*/true).contiguous()});
  };
  add("input_layernorm.weight", TrainedPart::kNorms, input_layernorm);
  add("post_attention_layernorm.weight", TrainedPart::kNorms, post_attention_layernorm);
  for (const std::string& name : ModelConfig::LinearNames()) {
    const QuantizedLinear& linear = linears.at(name);
    add(name + ".codebooks", TrainedPart::kCodebooks, linear.codebooks);
    add(name + ".scales", TrainedPart::kScales, linear.scales);
    codes_.emplace_back(linear.codes, linear.codebooks.size(1), linear.codebooks.size(3), device);
    parameters_.push_back({prefix + name + ".codes", TrainedPart::kCodes, codes_.back().codes()});
  }
}

BlockWeights CodedBlock::Leaves(bool gradients) const {
  BlockWeights leaves;
  leaves.input_layernorm = Leaf(parameters_[0].value, gradients);
  leaves.post_attention_layernorm = Leaf(parameters_[1].value, gradients);
  const std::vector<std::string>& names = ModelConfig::LinearNames();
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::size_t at = CodebooksAt(i);
    const at::Tensor weight = codes_[i].Decode(parameters_[at].value, parameters_[at + 1].value);
    leaves.Linear(names[i]) = Leaf(bf16_products_ ? weight.to(at::kBFloat16) : weight, gradients);
  }
  return leaves;
}

void CodedBlock::Pull(BlockWeights& leaves, at::Tensor* gradients) const {
  gradients[0] = GradientOf(leaves.input_layernorm);
  gradients[1] = GradientOf(leaves.post_attention_layernorm);
  const std::vector<std::string>& names = ModelConfig::LinearNames();
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::size_t at = CodebooksAt(i);
    const at::Tensor slope =
        GradientOf(leaves.Linear(names[i])).to(parameters_[at].value.scalar_type());
    codes_[i].Pull(slope,
                   parameters_[at].value,
                   parameters_[at + 1].value,
                   &gradients[at],
                   &gradients[at + 1],
                   offers_codes_ ? &gradients[at + 2] : nullptr);
  }
}

void CodedBlock::OfferCodes(const std::map<std::string, at::Tensor>& weights,
                            const CodeChoiceOptions& options) {
  offers_codes_ = true;
  const std::vector<std::string>& names = ModelConfig::LinearNames();
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::size_t at = CodebooksAt(i);
    Parameter& codes = parameters_[at + 2];
    codes.value = codes_[i].Offer(
        weights.at(names[i]), parameters_[at].value, parameters_[at + 1].value, options);
    codes.name += ".logits";
  }
}

void CodedBlock::SoftenCodes(double temperature) {
  for (LinearCodes& codes : codes_) {
    codes.Soften(temperature);
  }
}

void CodedBlock::SettleCodes() {
  for (LinearCodes& codes : codes_) {
    codes.Settle();
  }
}

void CodedBlock::RestoreCodes() {
  for (LinearCodes& codes : codes_) {
    codes.Restore();
  }
}

std::int64_t CodedBlock::CodeBytes() const {
  std::int64_t bytes = 0;
  for (const LinearCodes& codes : codes_) {
    bytes += codes.Bytes();
  }
  return bytes;
}

std::map<std::string, QuantizedLinear> CodedBlock::Linears() const {
  std::map<std::string, QuantizedLinear> linears;
  const std::vector<std::string>& names = ModelConfig::LinearNames();
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::size_t at = CodebooksAt(i);
    linears[names[i]] = {codes_[i].codes().cpu(),
                         parameters_[at].value.to(at::kCPU, at::kFloat),
                         parameters_[at + 1].value.to(at::kCPU, at::kFloat)};
  }
  return linears;
}

}  // namespace bitsweep::engine
