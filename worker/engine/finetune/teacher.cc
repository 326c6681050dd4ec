#include "worker/engine/finetune/teacher.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "worker/engine/numerics.h"

namespace bitsweep::engine {
namespace {

// Shares what is f32 already.
BlockWeights InF32(const BlockWeights& block) {
  BlockWeights out = block;
  for (at::Tensor* tensor : {&out.input_layernorm, &out.post_attention_layernorm}) {
    *tensor = tensor->to(at::kFloat);
  }
  for (const std::string& name : ModelConfig::LinearNames()) {
    out.Linear(name) = out.Linear(name).to(at::kFloat);
  }
  return out;
}

}  // namespace

std::shared_ptr<const LlamaModel> Teacher::Load(const Checkpoint& checkpoint, at::Device device) {
  at::ScalarType kept = at::kFloat;
  if (device.is_cuda()) {
    std::set<at::ScalarType> stored;
    for (const auto& [name, file] : checkpoint.tensors()) {
      stored.insert(file->Get(name).scalar_type());
    }
    if (stored == std::set{at::kHalf} || stored == std::set{at::kBFloat16}) {
      kept = *stored.begin();
    }
  }
  return LlamaModel::Load(checkpoint, kept, device);
}

Teacher::Teacher(std::shared_ptr<const LlamaModel> model, at::Tensor ids, TeacherOptions options)
    : model_(std::move(model)),
      ids_(std::move(ids)),
      tf32_(options.tf32) {
  const std::int64_t sequence_bytes = ids_.size(1) * model_->config.hidden_size * 4;
  keeps_on_device_ = sequence_bytes * ids_.size(0) <= options.device_bytes_max;
  kept_max_ = keeps_on_device_
                  ? ids_.size(0)
                  : std::min(ids_.size(0), options.host_bytes_max / sequence_bytes);
  kept_.resize(static_cast<std::size_t>(kept_max_));
}

at::Tensor Teacher::Compute(std::int64_t sequence) const {
  const c10::NoGradGuard no_grad;
  const Tf32Products products(tf32_);
  const LlamaModel& model = *model_;
  at::Tensor x = at::embedding(model.embed_tokens,
                               ids_.narrow(0, sequence, 1).to(model.embed_tokens.device()))
                     .to(at::kFloat);
  for (const BlockWeights& block : model.blocks) {
    x = BlockForward(model.config, InF32(block), model.rope, x);
  }
  return RmsNorm(x, model.norm.to(at::kFloat), model.config.rms_norm_eps)[0];
}

at::Tensor Teacher::Hidden(const std::vector<std::int64_t>& sequences) {
  std::vector<at::Tensor> rows;
  for (const std::int64_t sequence : sequences) {
    if (sequence >= kept_max_) {
      rows.push_back(Compute(sequence));
      continue;
    }
    at::Tensor& kept = kept_[static_cast<std::size_t>(sequence)];
    rows.push_back(kept.defined() ? kept.to(model_->lm_head.device()) : Compute(sequence));
    if (!kept.defined()) {
      kept = keeps_on_device_ ? rows.back() : rows.back().cpu();
    }
  }
  return rows.size() == 1 ? rows[0] : at::cat(rows);
}

}  // namespace bitsweep::engine
