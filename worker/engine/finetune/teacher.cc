#include "worker/engine/finetune/teacher.h"

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

Teacher::Teacher(std::shared_ptr<const LlamaModel> model, at::Tensor ids, bool tf32)
    : model_(std::move(model)),
      ids_(std::move(ids)),
      keeps_(ids_.numel() * model_->config.hidden_size * 4 <= kTeacherBytesMax),
      tf32_(tf32),
      kept_(static_cast<std::size_t>(ids_.size(0))) {}

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
    at::Tensor& kept = kept_[static_cast<std::size_t>(sequence)];
    rows.push_back(kept.defined() ? kept : Compute(sequence));
    if (keeps_) {
      kept = rows.back();
    }
  }
  return rows.size() == 1 ? rows[0] : at::cat(rows);
}

}  // namespace bitsweep::engine
