#include "worker/engine/model/llama.h"

#include <algorithm>
#include <string>
#include <utility>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/version.h>

#include "worker/engine/error.h"

namespace bitsweep::engine {
namespace {

std::string LayerPrefix(std::int64_t layer) {
  return "model.layers." + std::to_string(layer) + ".";
}

// A linear's dense weight, f32 on the CPU. One that is stored quantized is rounded to the dtype of
// its codebooks: that is the model which an expanded checkpoint would hold, and what the reference
// implementation computes with (its logits differ from unrounded weights' by up to 1e-2, from these
// by 1e-5).
at::Tensor DenseWeight(const Checkpoint& checkpoint, const std::string& prefix) {
  const at::Tensor weight = checkpoint.LinearWeight(prefix);
  if (!checkpoint.IsQuantized(prefix)) {
    return weight;
  }
  return weight.to(checkpoint.Get(prefix + ".codebooks").scalar_type()).to(at::kFloat);
}

// The linears of `names` below `prefix`, each a view of one storage [sum of rows, in].
std::vector<at::Tensor> LoadNeighbours(const Checkpoint& checkpoint,
                                       const std::string& prefix,
                                       const std::vector<std::string>& names,
                                       const at::TensorOptions& options) {
  std::int64_t rows = 0;
  for (const std::string& name : names) {
    rows += checkpoint.config().LinearShape(name).first;
  }
  const at::Tensor storage =
      at::empty({rows, checkpoint.config().LinearShape(names[0]).second}, options);
  std::vector<at::Tensor> parts;
  std::int64_t begin = 0;
  for (const std::string& name : names) {
    const at::Tensor weight = DenseWeight(checkpoint, prefix + name);
    at::Tensor part = storage.narrow(0, begin, weight.size(0));
    part.copy_(weight);
    begin += weight.size(0);
    parts.push_back(std::move(part));
  }
  return parts;
}

// x [B, T, h] -> [B, heads, T, D]
at::Tensor SplitHeads(const at::Tensor& x, std::int64_t heads, std::int64_t head_dim) {
  return x.view({x.size(0), x.size(1), heads, head_dim}).transpose(1, 2);
}

at::Tensor Attention(const ModelConfig& config,
                     const BlockWeights& weights,
                     const RopeTable& rope,
                     const at::Tensor& x,
                     BlockTaps* taps) {
  const std::int64_t length = x.size(1);
  const at::Tensor cos = rope.cos.narrow(0, 0, length);
  const at::Tensor sin = rope.sin.narrow(0, 0, length);
  const at::Tensor q = SplitHeads(at::linear(x, weights.q_proj), config.num_heads, config.head_dim);
  const at::Tensor k =
      SplitHeads(at::linear(x, weights.k_proj), config.num_kv_heads, config.head_dim);
  const at::Tensor v =
      SplitHeads(at::linear(x, weights.v_proj), config.num_kv_heads, config.head_dim);
  const at::Tensor mixed = CausalAttention(ApplyRope(q, cos, sin), ApplyRope(k, cos, sin), v)
                               .transpose(1, 2)
                               .reshape({x.size(0), length, config.num_heads * config.head_dim});
  if (taps != nullptr) {
    taps->attention_input = x;
    taps->o_input = mixed;
  }
  return at::linear(mixed, weights.o_proj);
}

at::Tensor Mlp(const BlockWeights& weights, const at::Tensor& x, BlockTaps* taps) {
  const at::Tensor inner =
      at::silu(at::linear(x, weights.gate_proj)) * at::linear(x, weights.up_proj);
  if (taps != nullptr) {
    taps->mlp_input = x;
    taps->down_input = inner;
    if (taps->only) {
      return {};
    }
  }
  return at::linear(inner, weights.down_proj);
}

// Moves the linears `names` to a device, as neighbours still; those kept as codes have no weights.
void CopyNeighbours(BlockWeights& block, const std::vector<std::string>& names, at::Device device) {
  std::vector<at::Tensor> parts;
  for (const std::string& name : names) {
    parts.push_back(block.Linear(name));
  }
  if (!parts[0].defined()) {
    return;
  }
  const at::Tensor storage = FusedRows(parts).to(device);
  std::int64_t begin = 0;
  for (const std::string& name : names) {
    const std::int64_t rows = block.Linear(name).size(0);
    block.Linear(name) = storage.narrow(0, begin, rows);
    begin += rows;
  }
}

}  // namespace

at::Tensor& BlockWeights::Linear(const std::string& name) {
  const std::pair<const char*, at::Tensor*> linears[] = {{"self_attn.q_proj", &q_proj},
                                                         {"self_attn.k_proj", &k_proj},
                                                         {"self_attn.v_proj", &v_proj},
                                                         {"self_attn.o_proj", &o_proj},
                                                         {"mlp.gate_proj", &gate_proj},
                                                         {"mlp.up_proj", &up_proj},
                                                         {"mlp.down_proj", &down_proj}};
  for (const auto& [known, tensor] : linears) {
    if (name == known) {
      return *tensor;
    }
  }
  throw EngineError(FailureClass::kBug,
                    "a block has no linear \"" + name + "\"; the last is mlp.down_proj");
}

at::Tensor RmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const at::Tensor wide = x.to(at::kFloat);
  const at::Tensor scale = at::rsqrt(wide.pow(2).mean(-1, /*keepdim=*/true) + eps);
  return weight * (wide * scale).to(x.scalar_type());
}

at::Tensor BlockForward(const ModelConfig& config,
                        const BlockWeights& weights,
                        const RopeTable& rope,
                        const at::Tensor& x,
                        BlockTaps* taps) {
  if (x.dim() != 3 || x.size(2) != config.hidden_size || x.size(1) > rope.cos.size(0)) {
    throw EngineError(FailureClass::kBug,
                      "BlockForward: x must be [B, T <= " + std::to_string(rope.cos.size(0)) +
                          ", " + std::to_string(config.hidden_size) + "], found " +
                          std::to_string(x.dim()) + " dimensions");
  }
  const at::Tensor attention_input = RmsNorm(x, weights.input_layernorm, config.rms_norm_eps);
  const at::Tensor middle = x + Attention(config, weights, rope, attention_input, taps);
  const at::Tensor out =
      Mlp(weights, RmsNorm(middle, weights.post_attention_layernorm, config.rms_norm_eps), taps);
  return out.defined() ? middle + out : out;
}

BlockWeights LoadBlock(const Checkpoint& checkpoint,
                       std::int64_t layer,
                       at::ScalarType dtype,
                       at::Device device,
                       BlockCodes* coded) {
  const std::string prefix = LayerPrefix(layer);
  const at::TensorOptions options = at::TensorOptions().dtype(dtype).device(device);
  // Tensors as stored are views of the mapped file: copy, so that nothing depends on the mapping.
  const auto own = [&](const at::Tensor& tensor) {
    return tensor.to(options, /*non_blocking=*/false, /*copy=*/true);
  };
  BlockWeights block;
  block.input_layernorm = own(checkpoint.Get(prefix + "input_layernorm.weight"));
  block.post_attention_layernorm = own(checkpoint.Get(prefix + "post_attention_layernorm.weight"));
  const auto load = [&](std::size_t number, CodedProduct BlockCodes::* product) {
    const std::vector<std::string>& names = ProductNames()[number];
    if (coded != nullptr && CanKeepCodes(checkpoint, layer, names)) {
      coded->*product = LoadCodedProduct(checkpoint, layer, names, device);
      return;
    }
    const std::vector<at::Tensor> weights = LoadNeighbours(checkpoint, prefix, names, options);
    for (std::size_t i = 0; i < names.size(); ++i) {
      block.Linear(names[i]) = weights[i];
    }
  };
  load(0, &BlockCodes::qkv);
  load(1, &BlockCodes::o);
  load(2, &BlockCodes::gate_up);
  load(3, &BlockCodes::down);
  return block;
}

at::Tensor FusedRows(const std::vector<at::Tensor>& parts) {
  std::int64_t rows = 0;
  bool neighbours = true;
  for (const at::Tensor& part : parts) {
    const at::Tensor& first = parts[0];
    neighbours = neighbours && part.is_contiguous() &&
                 part.storage().data_ptr().get() == first.storage().data_ptr().get() &&
                 part.storage_offset() == first.storage_offset() + rows * first.size(1);
    rows += part.size(0);
  }
  if (neighbours) {
    return parts[0].as_strided({rows, parts[0].size(1)}, {parts[0].size(1), 1});
  }
  return at::cat(parts, 0);
}

std::shared_ptr<const LlamaModel> CopyTo(const LlamaModel& model,
                                         const std::vector<at::Device>& block_devices) {
  auto copy = std::make_shared<LlamaModel>(model);
  for (std::size_t layer = 0; layer < copy->blocks.size(); ++layer) {
    const at::Device device = block_devices.at(layer);
    BlockWeights& block = copy->blocks[layer];
    block.input_layernorm = block.input_layernorm.to(device);
    block.post_attention_layernorm = block.post_attention_layernorm.to(device);
    for (const std::vector<std::string>& names : ProductNames()) {
      CopyNeighbours(block, names, device);
    }
  }
  for (std::size_t layer = 0; layer < copy->coded.size(); ++layer) {
    BlockCodes& block = copy->coded[layer];
    for (CodedProduct* product : {&block.qkv, &block.o, &block.gate_up, &block.down}) {
      *product = CopyTo(*product, block_devices.at(layer));
    }
  }
  const at::Device first = block_devices.front();
  const at::Device last = block_devices.back();
  copy->embed_tokens = model.embed_tokens.to(first);
  copy->norm = model.norm.to(last);
  // One tensor where the head is tied and both lie on one device.
  copy->lm_head = model.lm_head.is_same(model.embed_tokens) ? copy->embed_tokens.to(last)
                                                            : model.lm_head.to(last);
  copy->rope = {model.rope.cos.to(first), model.rope.sin.to(first)};
  return copy;
}

void CheckNumerics(at::ScalarType dtype, at::Device device) {
#if TORCH_VERSION_MAJOR < 2
  if (device.is_cpu() && dtype == at::kHalf) {
    ThrowBadInput("dtype f16 on the CPU needs libtorch 2 (this is " TORCH_VERSION
                  "); allowed there: f32, bf16");
  }
#endif
  if (dtype != at::kFloat && dtype != at::kHalf && dtype != at::kBFloat16) {
    ThrowBadInput(std::string("dtype ") + at::toString(dtype) +
                  " is not supported; allowed: f32, f16, bf16");
  }
  if (device.is_cuda() && !at::hasCUDA()) {
    ThrowBadInput("device cuda was asked for, but this libtorch sees no CUDA device; allowed: cpu");
  }
}

std::shared_ptr<const LlamaModel> LlamaModel::Load(const Checkpoint& checkpoint,
                                                   at::ScalarType dtype,
                                                   at::Device device) {
  return LoadSpread(
      checkpoint,
      dtype,
      std::vector<at::Device>(static_cast<std::size_t>(checkpoint.config().num_layers), device));
}

std::shared_ptr<const LlamaModel> LlamaModel::LoadSpread(
    const Checkpoint& checkpoint,
    at::ScalarType dtype,
    const std::vector<at::Device>& block_devices,
    bool keep_codes) {
  const at::Device first = block_devices.front();
  const at::Device last = block_devices.back();
  CheckNumerics(dtype, first);
  auto model = std::make_shared<LlamaModel>();
  model->config = checkpoint.config();
  const auto own = [&](const at::Tensor& tensor, at::Device device) {
    return tensor.to(at::TensorOptions().dtype(dtype).device(device),
                     /*non_blocking=*/false,
                     /*copy=*/true);
  };
  model->embed_tokens = own(checkpoint.Get("model.embed_tokens.weight"), first);
  for (std::int64_t layer = 0; layer < model->config.num_layers; ++layer) {
    BlockCodes* const coded = keep_codes ? &model->coded.emplace_back() : nullptr;
    model->blocks.push_back(LoadBlock(
        checkpoint, layer, dtype, block_devices.at(static_cast<std::size_t>(layer)), coded));
  }
  model->norm = own(checkpoint.Get("model.norm.weight"), last);
  model->lm_head = model->config.tie_word_embeddings ? model->embed_tokens.to(last)
                                                     : own(checkpoint.Get("lm_head.weight"), last);
  model->rope = MakeRopeTable(model->config, model->config.max_position_embeddings, first);
  return model;
}

at::Tensor LlamaModel::Logits(const at::Tensor& input_ids) const {
  if (!coded.empty()) {
    throw EngineError(FailureClass::kBug, "a model kept as codes has no pass without a cache");
  }
  const at::Tensor ids = input_ids.to(embed_tokens.device());
  if (ids.dim() != 2 || ids.numel() == 0 || ids.size(1) > rope.cos.size(0)) {
    ThrowBadInput("input_ids must be [B, T] with 1 <= T <= " + std::to_string(rope.cos.size(0)) +
                  ", found " + std::to_string(ids.dim()) + " dimensions and " +
                  std::to_string(ids.numel()) + " ids");
  }
  const auto lowest = ids.min().item<std::int64_t>();
  const auto highest = ids.max().item<std::int64_t>();
  if (lowest < 0 || highest >= config.vocab_size) {
    ThrowBadInput("input_ids holds " + std::to_string(lowest < 0 ? lowest : highest) +
                  "; allowed: 0 to " + std::to_string(config.vocab_size - 1));
  }
  const c10::NoGradGuard no_grad;
  at::Tensor x = at::embedding(embed_tokens, ids);
  for (const BlockWeights& block : blocks) {
    x = BlockForward(config, block, rope, x);
  }
  return at::linear(RmsNorm(x, norm, config.rms_norm_eps), lm_head).to(at::kFloat);
}

}  // namespace bitsweep::engine
