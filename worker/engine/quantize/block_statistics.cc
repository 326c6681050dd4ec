#include "worker/engine/quantize/block_statistics.h"

#include <ATen/ATen.h>

#include "worker/engine/error.h"

namespace bitsweep::engine {

void XtxSum::Add(const at::Tensor& x) {
  const at::Tensor rows = x.reshape({-1, x.size(-1)});
  for (std::int64_t first = 0; first < rows.size(0); first += kChunkTokensMax) {
    const std::int64_t count = std::min(kChunkTokensMax, rows.size(0) - first);
    const at::Tensor chunk = rows.narrow(0, first, count).to(at::kFloat);
    const at::Tensor product = at::mm(chunk.t(), chunk);
    if (!sum_.defined()) {
      sum_ = at::zeros(product.sizes(), product.options().dtype(at::kDouble));
    }
    sum_.add_(product);
    tokens_ += count;
  }
}

at::Tensor XtxSum::Mean() const {
  if (tokens_ == 0) {
    throw EngineError(FailureClass::kBug, "H was asked for before any token was added");
  }
  // The two triangles of a product may differ in the last bit; the search counts on symmetry.
  const at::Tensor mean = (sum_ + sum_.t()) / (2.0 * static_cast<double>(tokens_));
  return mean.to(at::kFloat).cpu().contiguous();
}

void BlockStatistics::Add(const BlockTaps& taps) {
  sums_["attention"].Add(taps.attention_input);
  sums_["o"].Add(taps.o_input);
  sums_["mlp"].Add(taps.mlp_input);
  sums_["down"].Add(taps.down_input);
}

at::Tensor BlockStatistics::Xtx(const std::string& linear) {
  const char* group = GroupOf(linear);
  const auto found = means_.find(group);
  if (found != means_.end()) {
    return found->second;
  }
  return means_.emplace(group, sums_[group].Mean()).first->second;
}

const char* BlockStatistics::GroupOf(const std::string& linear) {
  if (linear == "self_attn.q_proj" || linear == "self_attn.k_proj" ||
      linear == "self_attn.v_proj") {
    return "attention";
  }
  if (linear == "self_attn.o_proj") {
    return "o";
  }
  if (linear == "mlp.gate_proj" || linear == "mlp.up_proj") {
    return "mlp";
  }
  if (linear == "mlp.down_proj") {
    return "down";
  }
  throw EngineError(FailureClass::kBug, "no inputs are tapped for a linear named " + linear);
}

}  // namespace bitsweep::engine
