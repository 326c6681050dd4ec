// f32 generation on the CPU (decoder.h) over the loops of cpu_kernels.h.
#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include <ATen/ATen.h>

#include "worker/engine/error.h"
#include "worker/engine/model/cpu_kernels.h"
#include "worker/engine/model/decoder.h"
#include "worker/engine/model/llama.h"

namespace bitsweep::engine {
namespace {

// Rows of a prompt computed together: enough to reuse a panel of weights from the first-level
// cache, few enough that the scratch stays small.
constexpr std::int64_t kPrefillRows = 64;

std::int64_t RoundUp(std::int64_t value, std::int64_t unit) {
  return (value + unit - 1) / unit * unit;
}

// A linear in the kernels' layout.
struct PackedLinear {
  at::Tensor packed;  // f32
  std::int64_t n = 0, k = 0;

  PackedLinear() = default;
  PackedLinear(const at::Tensor& weight, std::int64_t panel)
      : n(weight.size(0)), k(weight.size(1)) {
    const at::Tensor plain = weight.to(at::kFloat).contiguous();
    packed = at::empty({PackedSize(n, k, panel)}, at::kFloat);
    PackWeights(plain.data_ptr<float>(), n, k, panel, packed.data_ptr<float>());
  }
};

struct PackedBlock {
  at::Tensor input_norm, post_norm;  // [h] f32
  PackedLinear qkv, o, gate_up, down;
};

struct CpuModel {
  const CpuKernels* kernels = nullptr;
  ModelConfig config;
  at::Tensor embed;  // [V, h] f32
  std::vector<PackedBlock> blocks;
  at::Tensor norm;  // [h] f32
  PackedLinear lm_head;
  RopeTable rope;  // [positions, D] f32

  std::int64_t padded_head_dim() const { return RoundUp(config.head_dim, kPositionBlock); }
  std::int64_t query_width() const { return config.num_heads * config.head_dim; }
  std::int64_t key_width() const { return config.num_kv_heads * config.head_dim; }
};

// Tokens of one call: row i is tokens[i] at positions[i] of slots[i].
struct Rows {
  const std::int64_t* tokens;
  const std::int64_t* positions;
  const std::int64_t* slots;
  std::int64_t count;
};

class CpuDecoder final : public Decoder {
 public:
  CpuDecoder(std::shared_ptr<const CpuModel> model, const DecoderOptions& options);

  std::int64_t slots() const override { return slots_; }
  at::Tensor Prefill(const std::vector<std::int64_t>& ids) override;
  void Place(std::int64_t slot) override { Move(slots_, slot, staged_); }
  void Move(std::int64_t from, std::int64_t to, std::int64_t length) override;
  at::Tensor Step(const std::vector<std::int64_t>& tokens,
                  const std::vector<std::int64_t>& positions) override;

 private:
  // Runs the rows through every block; the last hidden state is left in hidden_.
  void Forward(const Rows& rows);
  void AttentionPart(const Rows& rows, std::int64_t layer);
  void MlpPart(std::int64_t count, const PackedBlock& block);
  // Rotates row `row`'s queries in place and stores its keys and values.
  void StoreKeysAndValues(const Rows& rows, std::int64_t row, float* keys, float* values);
  // Logits of hidden rows begin..begin+count-1, written to the first rows of logits_.
  at::Tensor Head(std::int64_t begin, std::int64_t count);
  void Multiply(const PackedLinear& linear,
                const at::Tensor& x,
                const at::Tensor& y,
                std::int64_t count,
                bool add) const;

  float* Keys(std::int64_t layer, std::int64_t slot) const {
    return cache_.data_ptr<float>() + (layer * (slots_ + 1) + slot) * (keys_size_ + values_size_);
  }
  float* Values(std::int64_t layer, std::int64_t slot) const {
    return Keys(layer, slot) + keys_size_;
  }

  const std::shared_ptr<const CpuModel> model_;
  const std::int64_t slots_;                    // Slot slots_ is the staging slot.
  const std::int64_t positions_;                // A multiple of kPositionBlock.
  const std::int64_t keys_size_, values_size_;  // Floats of one slot in one layer.
  std::int64_t staged_ = 0;                     // Tokens of the staged prompt.
  at::Tensor cache_;  // [layers, slots + 1, keys_size + values_size] f32, touched only where used
  // Scratch, [rows, width] f32 each.
  at::Tensor hidden_, normed_, qkv_, mixed_, gate_up_, inner_, scores_, logits_;
};

CpuDecoder::CpuDecoder(std::shared_ptr<const CpuModel> model, const DecoderOptions& options)
    : model_(std::move(model)),
      slots_(options.slots),
      positions_(RoundUp(options.positions, kPositionBlock)),
      keys_size_(model_->config.num_kv_heads * positions_ * model_->config.head_dim),
      values_size_(model_->config.num_kv_heads * positions_ * model_->padded_head_dim()) {
  const ModelConfig& config = model_->config;
  const std::int64_t rows = std::max(slots_, kPrefillRows);
  cache_ = at::empty({config.num_layers, slots_ + 1, keys_size_ + values_size_}, at::kFloat);
  hidden_ = at::empty({rows, config.hidden_size}, at::kFloat);
  normed_ = at::empty({rows, config.hidden_size}, at::kFloat);
  qkv_ = at::empty({rows, model_->query_width() + 2 * model_->key_width()}, at::kFloat);
  mixed_ = at::empty({rows, model_->query_width()}, at::kFloat);
  gate_up_ = at::empty({rows, 2 * config.intermediate_size}, at::kFloat);
  inner_ = at::empty({rows, config.intermediate_size}, at::kFloat);
  scores_ = at::empty({positions_}, at::kFloat);
  logits_ = at::empty({slots_, config.vocab_size}, at::kFloat);
}

void CpuDecoder::Multiply(const PackedLinear& linear,
                          const at::Tensor& x,
                          const at::Tensor& y,
                          std::int64_t count,
                          bool add) const {
  model_->kernels->matmul({.x = x.data_ptr<float>(),
                           .packed = linear.packed.data_ptr<float>(),
                           .y = y.data_ptr<float>(),
                           .m = count,
                           .n = linear.n,
                           .k = linear.k,
                           .x_stride = x.size(1),
                           .y_stride = y.size(1),
                           .add = add});
}

void CpuDecoder::StoreKeysAndValues(const Rows& rows,
                                    std::int64_t row,
                                    float* keys,
                                    float* values) {
  const ModelConfig& config = model_->config;
  const std::int64_t dim = config.head_dim;
  const std::int64_t half = dim / 2;
  const std::int64_t padded = model_->padded_head_dim();
  const std::int64_t position = rows.positions[row];
  const float* cos = model_->rope.cos.data_ptr<float>() + position * dim;
  const float* sin = model_->rope.sin.data_ptr<float>() + position * dim;
  float* q = qkv_.data_ptr<float>() + row * qkv_.size(1);
  const auto rotate = [&](float* head) {
    for (std::int64_t i = 0; i < half; ++i) {
      const float low = head[i];
      const float high = head[i + half];
      head[i] = low * cos[i] - high * sin[i];
      head[i + half] = high * cos[i] + low * sin[i];
    }
  };
  for (std::int64_t head = 0; head < config.num_heads; ++head) {
    rotate(q + head * dim);
  }
  float* k = q + model_->query_width();
  const float* v = k + model_->key_width();
  for (std::int64_t head = 0; head < config.num_kv_heads; ++head) {
    rotate(k + head * dim);
    float* block =
        keys + head * positions_ * dim + position / kPositionBlock * kPositionBlock * dim;
    for (std::int64_t d = 0; d < dim; ++d) {
      block[d * kPositionBlock + position % kPositionBlock] = k[head * dim + d];
    }
    float* value = values + (head * positions_ + position) * padded;
    std::copy_n(v + head * dim, dim, value);
    std::fill(value + dim, value + padded, 0.0F);
  }
}

void CpuDecoder::AttentionPart(const Rows& rows, std::int64_t layer) {
  const ModelConfig& config = model_->config;
  const PackedBlock& block = model_->blocks[static_cast<std::size_t>(layer)];
  const std::int64_t h = config.hidden_size;
  for (std::int64_t row = 0; row < rows.count; ++row) {
    model_->kernels->rms_norm(hidden_.data_ptr<float>() + row * h,
                              block.input_norm.data_ptr<float>(),
                              normed_.data_ptr<float>() + row * h,
                              h,
                              static_cast<float>(config.rms_norm_eps));
  }
  Multiply(block.qkv, normed_, qkv_, rows.count, /*add=*/false);
  for (std::int64_t row = 0; row < rows.count; ++row) {
    StoreKeysAndValues(rows, row, Keys(layer, rows.slots[row]), Values(layer, rows.slots[row]));
  }
  for (std::int64_t row = 0; row < rows.count; ++row) {
    model_->kernels->attend({.q = qkv_.data_ptr<float>() + row * qkv_.size(1),
                             .keys = Keys(layer, rows.slots[row]),
                             .values = Values(layer, rows.slots[row]),
                             .scores = scores_.data_ptr<float>(),
                             .out = mixed_.data_ptr<float>() + row * mixed_.size(1),
                             .heads = config.num_heads,
                             .kv_heads = config.num_kv_heads,
                             .head_dim = config.head_dim,
                             .positions_max = positions_,
                             .length = rows.positions[row] + 1});
  }
  Multiply(block.o, mixed_, hidden_, rows.count, /*add=*/true);
}

void CpuDecoder::MlpPart(std::int64_t count, const PackedBlock& block) {
  const ModelConfig& config = model_->config;
  const std::int64_t h = config.hidden_size;
  const std::int64_t width = config.intermediate_size;
  for (std::int64_t row = 0; row < count; ++row) {
    model_->kernels->rms_norm(hidden_.data_ptr<float>() + row * h,
                              block.post_norm.data_ptr<float>(),
                              normed_.data_ptr<float>() + row * h,
                              h,
                              static_cast<float>(config.rms_norm_eps));
  }
  Multiply(block.gate_up, normed_, gate_up_, count, /*add=*/false);
  for (std::int64_t row = 0; row < count; ++row) {
    model_->kernels->swiglu(gate_up_.data_ptr<float>() + row * 2 * width,
                            inner_.data_ptr<float>() + row * width,
                            width);
  }
  Multiply(block.down, inner_, hidden_, count, /*add=*/true);
}

void CpuDecoder::Forward(const Rows& rows) {
  const std::int64_t h = model_->config.hidden_size;
  for (std::int64_t row = 0; row < rows.count; ++row) {
    std::copy_n(model_->embed.data_ptr<float>() + rows.tokens[row] * h,
                h,
                hidden_.data_ptr<float>() + row * h);
  }
  for (std::int64_t layer = 0; layer < model_->config.num_layers; ++layer) {
    AttentionPart(rows, layer);
    MlpPart(rows.count, model_->blocks[static_cast<std::size_t>(layer)]);
  }
}

at::Tensor CpuDecoder::Head(std::int64_t begin, std::int64_t count) {
  const std::int64_t h = model_->config.hidden_size;
  for (std::int64_t row = 0; row < count; ++row) {
    model_->kernels->rms_norm(hidden_.data_ptr<float>() + (begin + row) * h,
                              model_->norm.data_ptr<float>(),
                              normed_.data_ptr<float>() + row * h,
                              h,
                              static_cast<float>(model_->config.rms_norm_eps));
  }
  Multiply(model_->lm_head, normed_, logits_, count, /*add=*/false);
  return logits_.narrow(0, 0, count);
}

at::Tensor CpuDecoder::Prefill(const std::vector<std::int64_t>& ids) {
  const auto length = static_cast<std::int64_t>(ids.size());
  staged_ = length;
  const std::vector<std::int64_t> slots(static_cast<std::size_t>(kPrefillRows), slots_);
  std::vector<std::int64_t> positions(static_cast<std::size_t>(kPrefillRows));
  std::int64_t count = 0;
  for (std::int64_t begin = 0; begin < length; begin += count) {
    count = std::min(kPrefillRows, length - begin);
    for (std::int64_t i = 0; i < count; ++i) {
      positions[static_cast<std::size_t>(i)] = begin + i;
    }
    Forward({ids.data() + begin, positions.data(), slots.data(), count});
  }
  return Head(count - 1, 1);
}

void CpuDecoder::Move(std::int64_t from, std::int64_t to, std::int64_t length) {
  const ModelConfig& config = model_->config;
  const std::int64_t padded = model_->padded_head_dim();
  const auto key_bytes =
      static_cast<std::size_t>(RoundUp(length, kPositionBlock) * config.head_dim) * sizeof(float);
  const auto value_bytes = static_cast<std::size_t>(length * padded) * sizeof(float);
  for (std::int64_t layer = 0; layer < config.num_layers; ++layer) {
    for (std::int64_t head = 0; head < config.num_kv_heads; ++head) {
      const std::int64_t key = head * positions_ * config.head_dim;
      const std::int64_t value = head * positions_ * padded;
      std::memcpy(Keys(layer, to) + key, Keys(layer, from) + key, key_bytes);
      std::memcpy(Values(layer, to) + value, Values(layer, from) + value, value_bytes);
    }
  }
}

at::Tensor CpuDecoder::Step(const std::vector<std::int64_t>& tokens,
                            const std::vector<std::int64_t>& positions) {
  const auto count = static_cast<std::int64_t>(tokens.size());
  std::vector<std::int64_t> slots(tokens.size());
  for (std::size_t i = 0; i < slots.size(); ++i) {
    slots[i] = static_cast<std::int64_t>(i);
  }
  Forward({tokens.data(), positions.data(), slots.data(), count});
  return Head(0, count);
}

class CpuDecoderModel final : public DecoderModel {
 public:
  explicit CpuDecoderModel(std::shared_ptr<const CpuModel> model) : model_(std::move(model)) {}
  std::unique_ptr<Decoder> MakeDecoder(const DecoderOptions& options) const override {
    if (options.positions > model_->rope.cos.size(0)) {
      throw EngineError(FailureClass::kBug,
                        "a decoder of " + std::to_string(options.positions) +
                            " positions; the model has " +
                            std::to_string(model_->rope.cos.size(0)));
    }
    return std::make_unique<CpuDecoder>(model_, options);
  }
  std::int64_t SlotBytes(std::int64_t positions) const override {
    const ModelConfig& config = model_->config;
    return config.num_layers * config.num_kv_heads * RoundUp(positions, kPositionBlock) *
           (config.head_dim + model_->padded_head_dim()) * static_cast<std::int64_t>(sizeof(float));
  }
  bool threads_decode_alone() const override { return true; }

 private:
  const std::shared_ptr<const CpuModel> model_;
};

}  // namespace

std::shared_ptr<const DecoderModel> MakeCpuDecoderModel(const Checkpoint& checkpoint) {
  auto model = std::make_shared<CpuModel>();
  model->kernels = &ChooseCpuKernels();
  model->config = checkpoint.config();
  const std::int64_t panel = model->kernels->panel;
  const auto own = [&](const std::string& name) {
    return checkpoint.Get(name)
        .to(at::TensorOptions().dtype(at::kFloat), /*non_blocking=*/false, /*copy=*/true)
        .contiguous();
  };
  model->embed = own("model.embed_tokens.weight");
  for (std::int64_t layer = 0; layer < model->config.num_layers; ++layer) {
    const BlockWeights block = LoadBlock(checkpoint, layer, at::kFloat, at::kCPU);
    model->blocks.push_back(
        {.input_norm = block.input_layernorm,
         .post_norm = block.post_attention_layernorm,
         .qkv = PackedLinear(FusedRows({block.q_proj, block.k_proj, block.v_proj}), panel),
         .o = PackedLinear(block.o_proj, panel),
         .gate_up = PackedLinear(FusedRows({block.gate_proj, block.up_proj}), panel),
         .down = PackedLinear(block.down_proj, panel)});
  }
  model->norm = own("model.norm.weight");
  model->lm_head = PackedLinear(
      model->config.tie_word_embeddings ? model->embed : checkpoint.Get("lm_head.weight"), panel);
  model->rope = MakeRopeTable(model->config, model->config.max_position_embeddings, at::kCPU);
  return std::make_shared<CpuDecoderModel>(std::move(model));
}

}  // namespace bitsweep::engine
