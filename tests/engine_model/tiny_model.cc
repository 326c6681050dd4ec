#include "tests/engine_model/tiny_model.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>
#include <random>
#include <unistd.h>

#include <ATen/ATen.h>

#include "worker/engine/checkpoint/safetensors.h"

namespace bitsweep::engine {
namespace {

using Vec = std::vector<double>;

at::Tensor Random(std::mt19937& random,
                  std::vector<std::int64_t> shape,
                  float center,
                  float spread) {
  at::Tensor out = at::empty(shape, at::kFloat);
  std::normal_distribution<float> normal(center, spread);
  for (std::int64_t i = 0; i < out.numel(); ++i) {
    out.data_ptr<float>()[i] = normal(random);
  }
  return out;
}

// y[o] = sum_i w[o, i] x[i]
Vec Apply(const at::Tensor& w, const Vec& x) {
  Vec y(static_cast<std::size_t>(w.size(0)), 0.0);
  for (std::int64_t o = 0; o < w.size(0); ++o) {
    for (std::int64_t i = 0; i < w.size(1); ++i) {
      y[static_cast<std::size_t>(o)] +=
          static_cast<double>(w.data_ptr<float>()[o * w.size(1) + i]) *
          x[static_cast<std::size_t>(i)];
    }
  }
  return y;
}

Vec Norm(const at::Tensor& weight, const Vec& x) {
  double squares = 0.0;
  for (const double v : x) {
    squares += v * v;
  }
  const double scale = 1.0 / std::sqrt(squares / static_cast<double>(x.size()) + 1e-5);
  Vec y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    y[i] = static_cast<double>(weight.data_ptr<float>()[i]) * x[i] * scale;
  }
  return y;
}

// Pairs (i, i + D/2) of every head turn by position * theta^(-2i/D).
void Rotate(Vec& heads, std::size_t dim, double position) {
  for (std::size_t begin = 0; begin < heads.size(); begin += dim) {
    for (std::size_t i = 0; i < dim / 2; ++i) {
      const double angle =
          position * std::pow(10000.0, -2.0 * static_cast<double>(i) / static_cast<double>(dim));
      const double a = heads[begin + i];
      const double b = heads[begin + i + dim / 2];
      heads[begin + i] = a * std::cos(angle) - b * std::sin(angle);
      heads[begin + i + dim / 2] = b * std::cos(angle) + a * std::sin(angle);
    }
  }
}

// One query against the keys and values of positions 0..t.
Vec Attend(const Vec& q,
           const std::vector<Vec>& keys,
           const std::vector<Vec>& values,
           std::size_t t,
           const TinyShape& shape) {
  const auto dim = static_cast<std::size_t>(shape.head_dim);
  Vec out(q.size(), 0.0);
  for (std::size_t head = 0; head < static_cast<std::size_t>(shape.heads); ++head) {
    const std::size_t source = head / static_cast<std::size_t>(shape.heads / shape.kv_heads) * dim;
    Vec weights(t + 1, 0.0);
    double total = 0.0;
    for (std::size_t s = 0; s <= t; ++s) {
      double dot = 0.0;
      for (std::size_t d = 0; d < dim; ++d) {
        dot += q[head * dim + d] * keys[s][source + d];
      }
      weights[s] = std::exp(dot / std::sqrt(static_cast<double>(dim)));
      total += weights[s];
    }
    for (std::size_t s = 0; s <= t; ++s) {
      for (std::size_t d = 0; d < dim; ++d) {
        out[head * dim + d] += weights[s] / total * values[s][source + d];
      }
    }
  }
  return out;
}

void Add(Vec& x, const Vec& y) {
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] += y[i];
  }
}

// One block over all positions, in place.
void Block(std::vector<Vec>& x,
           const std::function<at::Tensor(const std::string&)>& weight,
           const TinyShape& shape) {
  std::vector<Vec> keys;
  std::vector<Vec> values;
  for (std::size_t t = 0; t < x.size(); ++t) {
    const Vec normed = Norm(weight("input_layernorm"), x[t]);
    Vec q = Apply(weight("self_attn.q_proj"), normed);
    keys.push_back(Apply(weight("self_attn.k_proj"), normed));
    values.push_back(Apply(weight("self_attn.v_proj"), normed));
    Rotate(q, static_cast<std::size_t>(shape.head_dim), static_cast<double>(t));
    Rotate(keys.back(), static_cast<std::size_t>(shape.head_dim), static_cast<double>(t));
    Add(x[t], Apply(weight("self_attn.o_proj"), Attend(q, keys, values, t, shape)));
  }
  for (Vec& row : x) {
    const Vec normed = Norm(weight("post_attention_layernorm"), row);
    Vec gate = Apply(weight("mlp.gate_proj"), normed);
    const Vec up = Apply(weight("mlp.up_proj"), normed);
    for (std::size_t i = 0; i < gate.size(); ++i) {
      gate[i] = gate[i] / (1.0 + std::exp(-gate[i])) * up[i];
    }
    Add(row, Apply(weight("mlp.down_proj"), gate));
  }
}

}  // namespace

TinyModel::TinyModel(const TinyShape& shape, bool tied) : shape_(shape), tied_(tied) {
  std::string pattern = (std::filesystem::temp_directory_path() / "tiny-model-XXXXXX").string();
  dir_ = mkdtemp(pattern.data());
  std::ofstream(dir_ + "/config.json")
      << nlohmann::json{{"architectures", {"LlamaForCausalLM"}},
                        {"model_type", "llama"},
                        {"hidden_act", "silu"},
                        {"hidden_size", shape.hidden},
                        {"intermediate_size", shape.intermediate},
                        {"num_hidden_layers", shape.layers},
                        {"num_attention_heads", shape.heads},
                        {"num_key_value_heads", shape.kv_heads},
                        {"head_dim", shape.head_dim},
                        {"vocab_size", shape.vocab},
                        {"max_position_embeddings", shape.positions},
                        {"rms_norm_eps", 1e-5},
                        {"rope_theta", 10000.0},
                        {"bos_token_id", 1},
                        {"eos_token_id", 2},
                        {"tie_word_embeddings", tied}};
  std::mt19937 random(7);
  const std::int64_t q = shape.heads * shape.head_dim;
  const std::int64_t kv = shape.kv_heads * shape.head_dim;
  NamedTensors tensors = {
      {"model.embed_tokens.weight", Random(random, {shape.vocab, shape.hidden}, 0, 1)},
      {"model.norm.weight", Random(random, {shape.hidden}, 1, 0.2F)}};
  if (!tied) {
    tensors.emplace_back("lm_head.weight", Random(random, {shape.vocab, shape.hidden}, 0, 0.4F));
  }
  for (std::int64_t layer = 0; layer < shape.layers; ++layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    const auto add = [&](const std::string& name, std::vector<std::int64_t> size, float center) {
      tensors.emplace_back(prefix + name + ".weight",
                           Random(random, std::move(size), center, 0.3F));
    };
    add("input_layernorm", {shape.hidden}, 1);
    add("self_attn.q_proj", {q, shape.hidden}, 0);
    add("self_attn.k_proj", {kv, shape.hidden}, 0);
    add("self_attn.v_proj", {kv, shape.hidden}, 0);
    add("self_attn.o_proj", {shape.hidden, q}, 0);
    add("post_attention_layernorm", {shape.hidden}, 1);
    add("mlp.gate_proj", {shape.intermediate, shape.hidden}, 0);
    add("mlp.up_proj", {shape.intermediate, shape.hidden}, 0);
    add("mlp.down_proj", {shape.hidden, shape.intermediate}, 0);
  }
  WriteSafetensors(dir_ + "/model.safetensors", tensors);
}

TinyModel::~TinyModel() {
  std::error_code ignored;
  std::filesystem::remove_all(dir_, ignored);
}

std::vector<Vec> TinyModel::ReferenceLogits(const std::vector<std::int64_t>& ids) const {
  const std::shared_ptr<const Checkpoint> checkpoint = Open();
  const at::Tensor embed = checkpoint->Get("model.embed_tokens.weight");
  std::vector<Vec> x;
  for (const std::int64_t id : ids) {
    const float* row = embed.data_ptr<float>() + id * shape_.hidden;
    x.emplace_back(row, row + shape_.hidden);
  }
  for (std::int64_t layer = 0; layer < shape_.layers; ++layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    Block(
        x,
        [&](const std::string& name) { return checkpoint->Get(prefix + name + ".weight"); },
        shape_);
  }
  std::vector<Vec> logits;
  for (const Vec& row : x) {
    logits.push_back(Apply(tied_ ? embed : checkpoint->Get("lm_head.weight"),
                           Norm(checkpoint->Get("model.norm.weight"), row)));
  }
  return logits;
}

void WriteCodedModel(const TinyModel& model,
                     const AqlmConfig& aqlm,
                     const std::vector<std::string>& dense,
                     const std::string& dir) {
  const std::shared_ptr<const Checkpoint> from = model.Open();
  std::mt19937 random(11);
  const std::int64_t entries = std::int64_t{1} << aqlm.codebook_bits;
  NamedTensors tensors;
  for (const auto& [name, file] : from->tensors()) {
    const auto is_one_of = [&name = name](const std::vector<std::string>& linears) {
      return std::any_of(linears.begin(), linears.end(), [&](const std::string& linear) {
        return name.find("." + linear + ".weight") != std::string::npos;
      });
    };
    const at::Tensor weight = from->Get(name);
    if (!is_one_of(ModelConfig::LinearNames()) || is_one_of(dense)) {
      tensors.emplace_back(name, weight.to(at::kHalf));
      continue;
    }
    const std::string prefix = name.substr(0, name.rfind('.'));
    at::Tensor codes =
        at::empty({weight.size(0), weight.size(1) / aqlm.group_size, aqlm.codebooks}, at::kInt);
    for (std::int64_t i = 0; i < codes.numel(); ++i) {
      codes.data_ptr<std::int32_t>()[i] =
          static_cast<std::int32_t>(random() % static_cast<std::uint64_t>(entries));
    }
    tensors.emplace_back(prefix + ".codes", CodesToStored(codes, aqlm.codebook_bits));
    tensors.emplace_back(
        prefix + ".codebooks",
        Random(random, {aqlm.codebooks, entries, 1, aqlm.group_size}, 0, 0.3F).to(at::kHalf));
    tensors.emplace_back(prefix + ".scales",
                         Random(random, {weight.size(0), 1, 1, 1}, 1, 0.1F).to(at::kHalf));
  }
  WriteSafetensors(dir + "/model.safetensors", tensors);
  nlohmann::json config = from->config().raw;
  config["quantization_config"] = {{"quant_method", "aqlm"},
                                   {"nbits_per_codebook", aqlm.codebook_bits},
                                   {"num_codebooks", aqlm.codebooks},
                                   {"out_group_size", 1},
                                   {"in_group_size", aqlm.group_size}};
  std::ofstream(dir + "/config.json") << config;
}

std::vector<std::int64_t> RandomIds(std::int64_t count, std::int64_t vocab, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::int64_t> ids;
  for (std::int64_t i = 0; i < count; ++i) {
    ids.push_back(static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(vocab)));
  }
  return ids;
}

}  // namespace bitsweep::engine
