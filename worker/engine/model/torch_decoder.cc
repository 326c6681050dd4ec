// Generation with torch's operations (decoder.h): CUDA, bf16, and the reference of the CPU loops.
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "worker/engine/error.h"
#include "worker/engine/model/decoder.h"
#include "worker/engine/model/llama.h"

namespace bitsweep::engine {
namespace {

struct FusedBlock {
  at::Tensor qkv, gate_up;  // Views of the block's own storage.
};

struct TorchModel {
  std::shared_ptr<const LlamaModel> llama;
  std::vector<FusedBlock> fused;

  at::TensorOptions options() const { return llama->embed_tokens.options(); }
};

class TorchDecoder final : public Decoder {
 public:
  TorchDecoder(std::shared_ptr<const TorchModel> model, const DecoderOptions& options);

  std::int64_t slots() const override { return slots_; }
  at::Tensor Prefill(const std::vector<std::int64_t>& ids) override;
  void Place(std::int64_t slot) override { Move(slots_, slot, staged_); }
  void Move(std::int64_t from, std::int64_t to, std::int64_t length) override;
  at::Tensor Step(const std::vector<std::int64_t>& tokens,
                  const std::vector<std::int64_t>& positions) override;

 private:
  const ModelConfig& config() const { return model_->llama->config; }
  // x [n, h] -> q [n, H, D], k and v [n, Hkv, D]; q and k rotated by cos and sin [n, 1, D].
  struct Heads {
    at::Tensor q, k, v;
  };
  Heads Project(std::size_t layer,
                const at::Tensor& x,
                const at::Tensor& cos,
                const at::Tensor& sin) const;
  // The rest of a block after attention: x [n, h], mixed [n, H * D] -> [n, h]
  at::Tensor Finish(std::size_t layer, const at::Tensor& x, const at::Tensor& mixed) const;
  at::Tensor Head(const at::Tensor& x) const;
  // q [n, H, D] against the first `length` cached positions of slots 0..n-1, `hidden` [n, 1, 1,
  // length] -> [n, H * D]
  at::Tensor AttendCache(std::size_t layer,
                         const at::Tensor& q,
                         std::int64_t length,
                         const at::Tensor& hidden) const;

  const std::shared_ptr<const TorchModel> model_;
  const std::int64_t slots_;
  std::int64_t staged_ = 0;
  std::vector<at::Tensor> keys_,
      values_;  // per layer [slots + 1, Hkv, S, D]; the last slot is the staging slot
};

TorchDecoder::TorchDecoder(std::shared_ptr<const TorchModel> model, const DecoderOptions& options)
    : model_(std::move(model)), slots_(options.slots) {
  const std::vector<std::int64_t> shape = {
      slots_ + 1, config().num_kv_heads, options.positions, config().head_dim};
  for (std::int64_t layer = 0; layer < config().num_layers; ++layer) {
    // Zeroed: hidden positions are multiplied by a weight of zero, which a NaN of old memory would
    // survive.
    keys_.push_back(at::zeros(shape, model_->options()));
    values_.push_back(at::zeros(shape, model_->options()));
  }
}

TorchDecoder::Heads TorchDecoder::Project(std::size_t layer,
                                          const at::Tensor& x,
                                          const at::Tensor& cos,
                                          const at::Tensor& sin) const {
  const BlockWeights& block = model_->llama->blocks[layer];
  const at::Tensor normed = RmsNorm(x, block.input_layernorm, config().rms_norm_eps);
  const at::Tensor heads =
      at::linear(normed, model_->fused[layer].qkv)
          .view({x.size(0), config().num_heads + 2 * config().num_kv_heads, config().head_dim});
  // Queries and keys turn alike: one call for both.
  const at::Tensor turned =
      ApplyRope(heads.narrow(1, 0, config().num_heads + config().num_kv_heads), cos, sin);
  return {turned.narrow(1, 0, config().num_heads),
          turned.narrow(1, config().num_heads, config().num_kv_heads),
          heads.narrow(1, config().num_heads + config().num_kv_heads, config().num_kv_heads)};
}

at::Tensor TorchDecoder::Finish(std::size_t layer,
                                const at::Tensor& x,
                                const at::Tensor& mixed) const {
  const BlockWeights& block = model_->llama->blocks[layer];
  const at::Tensor middle = x + at::linear(mixed, block.o_proj);
  const at::Tensor gate_up =
      at::linear(RmsNorm(middle, block.post_attention_layernorm, config().rms_norm_eps),
                 model_->fused[layer].gate_up);
  const std::int64_t width = config().intermediate_size;
  const at::Tensor inner = at::silu(gate_up.narrow(1, 0, width)) * gate_up.narrow(1, width, width);
  return middle + at::linear(inner, block.down_proj);
}

at::Tensor TorchDecoder::Head(const at::Tensor& x) const {
  const LlamaModel& llama = *model_->llama;
  return at::linear(RmsNorm(x, llama.norm, config().rms_norm_eps), llama.lm_head).to(at::kFloat);
}

at::Tensor TorchDecoder::AttendCache(std::size_t layer,
                                     const at::Tensor& q,
                                     std::int64_t length,
                                     const at::Tensor& hidden) const {
  const std::int64_t count = q.size(0);
  const at::Tensor keys = keys_[layer].narrow(0, 0, count).narrow(2, 0, length);
  const at::Tensor values = values_[layer].narrow(0, 0, count).narrow(2, 0, length);
  // The query heads of one key/value head are the rows of one small product, so that nothing is
  // repeated in memory.
  const at::Tensor grouped = q.reshape({count,
                                        config().num_kv_heads,
                                        config().num_heads / config().num_kv_heads,
                                        config().head_dim});
  const double scale = 1.0 / std::sqrt(static_cast<double>(config().head_dim));
  const at::Tensor scores = (at::matmul(grouped, keys.transpose(2, 3)).to(at::kFloat) * scale)
                                .masked_fill(hidden, -std::numeric_limits<float>::infinity());
  return at::matmul(at::softmax(scores, -1).to(values.scalar_type()), values)
      .reshape({count, config().num_heads * config().head_dim});
}

at::Tensor TorchDecoder::Prefill(const std::vector<std::int64_t>& ids) {
  const c10::NoGradGuard no_grad;
  const LlamaModel& llama = *model_->llama;
  const auto length = static_cast<std::int64_t>(ids.size());
  staged_ = length;
  const at::Tensor tokens = at::tensor(ids, at::kLong).to(llama.embed_tokens.device());
  const at::Tensor cos = llama.rope.cos.narrow(0, 0, length).unsqueeze(1);
  const at::Tensor sin = llama.rope.sin.narrow(0, 0, length).unsqueeze(1);
  at::Tensor x = at::embedding(llama.embed_tokens, tokens);
  for (std::size_t layer = 0; layer < llama.blocks.size(); ++layer) {
    const Heads heads = Project(layer, x, cos, sin);
    keys_[layer].select(0, slots_).narrow(1, 0, length).copy_(heads.k.transpose(0, 1));
    values_[layer].select(0, slots_).narrow(1, 0, length).copy_(heads.v.transpose(0, 1));
    const auto batched = [](const at::Tensor& t) { return t.transpose(0, 1).unsqueeze(0); };
    const at::Tensor mixed = CausalAttention(batched(heads.q), batched(heads.k), batched(heads.v))
                                 .squeeze(0)
                                 .transpose(0, 1)
                                 .reshape({length, -1});
    x = Finish(layer, x, mixed);
  }
  return Head(x.narrow(0, length - 1, 1));
}

void TorchDecoder::Move(std::int64_t from, std::int64_t to, std::int64_t length) {
  for (std::size_t layer = 0; layer < keys_.size(); ++layer) {
    for (const at::Tensor& cache : {keys_[layer], values_[layer]}) {
      cache.select(0, to).narrow(1, 0, length).copy_(cache.select(0, from).narrow(1, 0, length));
    }
  }
}

at::Tensor TorchDecoder::Step(const std::vector<std::int64_t>& tokens,
                              const std::vector<std::int64_t>& positions) {
  const c10::NoGradGuard no_grad;
  const LlamaModel& llama = *model_->llama;
  const at::Device device = llama.embed_tokens.device();
  const auto count = static_cast<std::int64_t>(tokens.size());
  std::int64_t length = 0;
  for (const std::int64_t position : positions) {
    length = std::max(length, position + 1);
  }
  const at::Tensor where = at::tensor(positions, at::kLong).to(device);
  const at::Tensor row = at::arange(count, where.options());
  const at::Tensor hidden = (at::arange(length, where.options()).unsqueeze(0) > where.unsqueeze(1))
                                .view({count, 1, 1, length});
  const at::Tensor cos = llama.rope.cos.index_select(0, where).unsqueeze(1);
  const at::Tensor sin = llama.rope.sin.index_select(0, where).unsqueeze(1);
  at::Tensor x = at::embedding(llama.embed_tokens, at::tensor(tokens, at::kLong).to(device));
  for (std::size_t layer = 0; layer < llama.blocks.size(); ++layer) {
    const Heads heads = Project(layer, x, cos, sin);
    // [slots, S, Hkv, D][row, where] = [n, Hkv, D]
    keys_[layer].transpose(1, 2).index_put_({row, where}, heads.k);
    values_[layer].transpose(1, 2).index_put_({row, where}, heads.v);
    x = Finish(layer, x, AttendCache(layer, heads.q, length, hidden));
  }
  return Head(x);
}

class TorchDecoderModel final : public DecoderModel {
 public:
  explicit TorchDecoderModel(std::shared_ptr<const TorchModel> model) : model_(std::move(model)) {}
  std::unique_ptr<Decoder> MakeDecoder(const DecoderOptions& options) const override {
    if (options.positions > model_->llama->rope.cos.size(0)) {
      throw EngineError(FailureClass::kBug,
                        "a decoder of " + std::to_string(options.positions) +
                            " positions; the model has " +
                            std::to_string(model_->llama->rope.cos.size(0)));
    }
    if (options.batch_invariant) {
      throw EngineError(FailureClass::kBadInput,
                        "--batch-invariant: torch's operations, which generate with these numerics on "
                        "this device, round by the size of the batch; f32 on the CPU, and f16 or bf16 "
                        "on a GPU of compute capability 9.0, do not");
    }
    DecoderOptions fitting = options;
    while (true) {
      try {
        auto decoder = std::make_unique<TorchDecoder>(model_, fitting);
        ReserveScratch(fitting);
        return decoder;
      } catch (const c10::Error& error) {
        // Nothing portable tells how much a device has left: the cache is asked for, and halved
        // while it does not fit.
        const bool out_of_memory =
            std::string(error.what()).find("out of memory") != std::string::npos;
        if (!out_of_memory || fitting.slots == 1) {
          throw;
        }
        fitting.slots /= 2;
      }
    }
  }
  std::int64_t SlotBytes(std::int64_t positions) const override {
    const ModelConfig& config = model_->llama->config;
    return 2 * config.num_layers * config.num_kv_heads * positions * config.head_dim *
           static_cast<std::int64_t>(model_->llama->embed_tokens.element_size());
  }
  bool threads_decode_alone() const override { return false; }

 private:
  // Takes and gives back what one step needs beside the cache, so that a cache which leaves no room
  // for it fails here.
  void ReserveScratch(const DecoderOptions& options) const {
    const ModelConfig& config = model_->llama->config;
    // f32 scores, their softmax and its rounded copy; three logits' worth of doubles while
    // sampling; the widest layers.
    const std::int64_t floats =
        options.slots * (3 * config.num_heads * options.positions + 6 * config.vocab_size +
                         6 * config.intermediate_size + 16 * config.hidden_size);
    at::empty({floats}, model_->options().dtype(at::kFloat));
  }

  const std::shared_ptr<const TorchModel> model_;
};

}  // namespace

std::shared_ptr<const DecoderModel> MakeTorchDecoderModel(const Checkpoint& checkpoint,
                                                          at::ScalarType dtype,
                                                          at::Device device) {
  return MakeTorchDecoderModel(LlamaModel::Load(checkpoint, dtype, device));
}

std::shared_ptr<const DecoderModel> MakeTorchDecoderModel(std::shared_ptr<const LlamaModel> llama) {
  auto model = std::make_shared<TorchModel>();
  model->llama = std::move(llama);
  for (const BlockWeights& block : model->llama->blocks) {
    model->fused.push_back({FusedRows({block.q_proj, block.k_proj, block.v_proj}),
                            FusedRows({block.gate_proj, block.up_proj})});
  }
  return std::make_shared<TorchDecoderModel>(std::move(model));
}

}  // namespace bitsweep::engine
