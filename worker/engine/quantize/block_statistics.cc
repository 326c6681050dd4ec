#include "worker/engine/quantize/block_statistics.h"

#include <ATen/ATen.h>

#include "worker/engine/error.h"

namespace bitsweep::engine {

std::size_t TapOf(const std::string& linear) {
  if (linear == "self_attn.q_proj" || linear == "self_attn.k_proj" ||
      linear == "self_attn.v_proj") {
    return 0;
  }
  if (linear == "self_attn.o_proj") {
    return 1;
  }
  if (linear == "mlp.gate_proj" || linear == "mlp.up_proj") {
    return 2;
  }
  if (linear == "mlp.down_proj") {
    return 3;
  }
  throw EngineError(FailureClass::kBug, "no inputs are tapped for a linear named " + linear);
}

std::array<std::int64_t, kTapCount> TapWidths(const ModelConfig& config) {
  std::array<std::int64_t, kTapCount> widths{};
  for (const std::string& name : ModelConfig::LinearNames()) {
    widths[TapOf(name)] = config.LinearShape(name).second;
  }
  return widths;
}

void ChunkProducts::Add(const BlockTaps& taps) {
  const std::array<const at::Tensor*, kTapCount> inputs = {
      &taps.attention_input, &taps.o_input, &taps.mlp_input, &taps.down_input};
  const std::int64_t tokens = inputs[0]->numel() / inputs[0]->size(-1);
  if (tokens_ + tokens > kChunkTokensMax) {
    throw EngineError(FailureClass::kBug,
                      "a chunk of " + std::to_string(tokens_ + tokens) +
                          " tokens, allowed: " + std::to_string(kChunkTokensMax));
  }
  tokens_ += tokens;
  for (std::size_t tap = 0; tap < kTapCount; ++tap) {
    const at::Tensor x = inputs[tap]->reshape({tokens, -1}).to(at::kFloat);
    at::Tensor& product = products_[tap];
    if (product.defined()) {
      product.addmm_(x.t(), x);
    } else {
      product = at::mm(x.t(), x);
    }
  }
}

void ShardSums::Add(const ChunkProducts& chunk) {
  for (std::size_t tap = 0; tap < kTapCount; ++tap) {
    const at::Tensor& product = chunk.product(tap);
    if (sums_[tap].defined()) {
      sums_[tap].add_(product);
    } else {
      sums_[tap] = product.to(at::kDouble);
    }
  }
  tokens_ += chunk.tokens();
}

void BlockStatistics::Add(ShardSums shard) {
  for (std::size_t tap = 0; tap < kTapCount; ++tap) {
    const at::Tensor sum = shard.sum(tap).to(homes_[tap]);
    if (sums_[tap].defined()) {
      sums_[tap].add_(sum);
    } else {
      sums_[tap] = sum;
    }
    means_[tap] = at::Tensor();
  }
  tokens_ += shard.tokens();
}

at::Tensor BlockStatistics::Xtx(const std::string& linear) {
  const std::size_t tap = TapOf(linear);
  if (tokens_ == 0) {
    throw EngineError(FailureClass::kBug, "H was asked for before any token was added");
  }
  if (!means_[tap].defined()) {
    // The two triangles of a product may differ in the last bit; the search counts on symmetry.
    const at::Tensor mean = (sums_[tap] + sums_[tap].t()) / (2.0 * static_cast<double>(tokens_));
    means_[tap] = mean.to(at::kFloat).contiguous();
  }
  return means_[tap];
}

}  // namespace bitsweep::engine
