#include "worker/engine/generate/random_model.h"

#include <algorithm>
#include <cmath>
#include <string>

#include <ATen/ATen.h>

#include "worker/engine/model/decoder.h"

namespace bitsweep::engine {
namespace {

constexpr double kSpread = 0.02;  // Of the weights.

void DrawDense(const ModelConfig& c, const at::TensorOptions& options, BlockWeights* block) {
  const auto random = [&](std::int64_t rows, std::int64_t columns) {
    return at::randn({rows, columns}, options).mul_(kSpread);
  };
  const std::int64_t q = c.num_heads * c.head_dim;
  const std::int64_t kv = c.num_kv_heads * c.head_dim;
  const at::Tensor qkv = random(q + 2 * kv, c.hidden_size);
  block->q_proj = qkv.narrow(0, 0, q);
  block->k_proj = qkv.narrow(0, q, kv);
  block->v_proj = qkv.narrow(0, q + kv, kv);
  block->o_proj = random(c.hidden_size, q);
  const at::Tensor gate_up = random(2 * c.intermediate_size, c.hidden_size);
  block->gate_proj = gate_up.narrow(0, 0, c.intermediate_size);
  block->up_proj = gate_up.narrow(0, c.intermediate_size, c.intermediate_size);
  block->down_proj = random(c.hidden_size, c.intermediate_size);
}

BlockCodes DrawCodes(const ModelConfig& c, at::Device device) {
  const auto draw = [&](const std::vector<std::string>& names) {
    std::vector<std::int64_t> rows;
    for (const std::string& name : names) {
      rows.push_back(c.LinearShape(name).first);
    }
    return RandomCodes(CodebookShapeOf(*c.aqlm, c.LinearShape(names[0]).second), rows, device);
  };
  const auto& names = ProductNames();
  return {draw(names[0]), draw(names[1]), draw(names[2]), draw(names[3])};
}

}  // namespace

std::shared_ptr<const LlamaModel> RandomModel(const ModelConfig& c,
                                              std::uint64_t seed,
                                              at::ScalarType dtype,
                                              const std::vector<at::Device>& devices) {
  at::manual_seed(seed);
  const std::vector<std::int64_t> begins =
      EvenStretches(c.num_layers, static_cast<std::int64_t>(devices.size()));
  auto options = at::TensorOptions().dtype(dtype).device(devices[0]);
  const auto random = [&](std::int64_t rows, std::int64_t columns) {
    return at::randn({rows, columns}, options).mul_(kSpread);
  };
  auto model = std::make_shared<LlamaModel>();
  model->config = c;
  model->embed_tokens = random(c.vocab_size, c.hidden_size);
  for (std::int64_t layer = 0; layer < c.num_layers; ++layer) {
    const auto after = std::upper_bound(begins.begin(), begins.end(), layer);
    const at::Device device = devices[static_cast<std::size_t>(after - begins.begin()) - 1];
    options = options.device(device);
    BlockWeights block;
    if (c.aqlm) {
      model->coded.push_back(DrawCodes(c, device));
    } else {
      DrawDense(c, options, &block);
    }
    block.input_layernorm = at::ones({c.hidden_size}, options);
    block.post_attention_layernorm = at::ones({c.hidden_size}, options);
    model->blocks.push_back(std::move(block));
  }
  model->norm = at::ones({c.hidden_size}, options);
  model->lm_head = random(c.vocab_size, c.hidden_size);
  model->rope = MakeRopeTable(c, c.max_position_embeddings, devices[0]);
  return model;
}

CodedProduct RandomCodes(const kernels::CodebookShape& shape,
                         const std::vector<std::int64_t>& rows,
                         at::Device device) {
  const auto options = at::TensorOptions().device(device);
  const std::int64_t half = shape.K() / 2;
  const double spread = kSpread / std::sqrt(static_cast<double>(shape.M));
  CodedProduct product;
  product.shape = shape;
  for (const std::int64_t of_one : rows) {
    const at::Tensor codes =
        at::randint(-half,
                    half,
                    {of_one, shape.I, shape.M},
                    options.dtype(shape.code_bytes() == 1 ? at::kChar : at::kShort));
    const at::Tensor codebooks =
        at::randn({shape.M, shape.K(), 1, shape.g}, options.dtype(at::kFloat)).mul_(spread);
    product.parts.push_back(MakeCodedLinear(
        shape, codes, codebooks, at::ones({of_one}, options.dtype(at::kFloat)), device));
  }
  return product;
}

}  // namespace bitsweep::engine
