#include "coordinator/study/sizes.h"

#include <array>
#include <nlohmann/json.hpp>

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>

namespace bitsweep {
namespace {

constexpr std::int64_t kFloat16Bytes = 2;
// Far beyond any model; products of two stay inside 64 bits.
constexpr std::int64_t kDimensionMax = 1 << 24;

struct NamedModel {
  std::string_view name;
  ModelShape shape;
};

// The models of the study, from their published config.json files (study, section 2).
constexpr std::array kNamedModels = {
    NamedModel{"codellama-7b-hf", {4096, 11008, 32, 32016, 32, 32, 128, false}},
    NamedModel{"codellama-13b-hf", {5120, 13824, 40, 32016, 40, 40, 128, false}},
    NamedModel{"codellama-34b-hf", {8192, 22016, 48, 32000, 64, 8, 128, false}},
    NamedModel{"deepseek-coder-1.3b-base", {2048, 5504, 24, 32256, 16, 16, 128, false}},
    NamedModel{"deepseek-coder-6.7b-base", {4096, 11008, 32, 32256, 32, 32, 128, false}},
    NamedModel{"deepseek-coder-33b-base", {7168, 19200, 62, 32256, 56, 8, 128, false}},
};

/// Bits of everything that belongs to the quantized linears of one checkpoint, `code_bits` for each
/// code.
std::int64_t QuantizedBits(const ModelShape& shape,
                           const PrecisionSpec& precision,
                           std::int64_t code_bits) {
  const std::int64_t codebook_bytes = precision.codebooks *
                                      (std::int64_t{1} << precision.codebook_bits) *
                                      precision.group_size * kFloat16Bytes;
  std::int64_t bits = 0;
  for (const LinearShape& linear : BlockLinears(shape)) {
    bits += linear.out * linear.in / precision.group_size * precision.codebooks * code_bits;
    bits += 8 * (codebook_bytes + kFloat16Bytes * linear.out);  // One scale per output row.
  }
  return bits * shape.layers;
}

std::int64_t LinearParameters(const ModelShape& shape) {
  std::int64_t weights = 0;
  for (const LinearShape& linear : BlockLinears(shape)) {
    weights += linear.out * linear.in;
  }
  return weights * shape.layers;
}

/// Embeddings, head and norms: what stays in 16 bits.
std::int64_t OtherParameters(const ModelShape& shape) {
  const std::int64_t tables = shape.tied_embeddings ? 1 : 2;
  return tables * shape.vocabulary * shape.hidden + (2 * shape.layers + 1) * shape.hidden;
}

}  // namespace

absl::StatusOr<ModelShape> ParseModelShape(std::string_view config_json,
                                           const std::string& origin) {
  const nlohmann::json config =
      nlohmann::json::parse(config_json, nullptr, /*allow_exceptions=*/false);
  if (!config.is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(origin, ": not a JSON object"));
  }
  const std::string type = config.contains("model_type") && config["model_type"].is_string()
                               ? config["model_type"].get<std::string>()
                               : "llama";
  if (type != "llama") {
    return absl::InvalidArgumentError(absl::StrCat(
        origin, ": model_type: found '", type, "'; allowed: llama (LlamaForCausalLM)"));
  }
  absl::Status status;
  const auto read = [&](const char* key, std::int64_t fallback) -> std::int64_t {
    if (!config.contains(key) || config[key].is_null()) {
      if (fallback == 0 && status.ok()) {
        status = absl::InvalidArgumentError(absl::StrCat(origin, ": key '", key, "' is missing"));
      }
      return fallback;
    }
    const nlohmann::json& value = config[key];
    if (!value.is_number_integer() || value.get<std::int64_t>() < 1 ||
        value.get<std::int64_t>() > kDimensionMax) {
      if (status.ok()) {
        status = absl::InvalidArgumentError(absl::StrCat(origin,
                                                         ": ",
                                                         key,
                                                         ": found ",
                                                         value.dump(),
                                                         "; allowed: an integer from 1 to ",
                                                         kDimensionMax));
      }
      return 1;
    }
    return value.get<std::int64_t>();
  };
  ModelShape shape;
  shape.hidden = read("hidden_size", 0);
  shape.intermediate = read("intermediate_size", 0);
  shape.layers = read("num_hidden_layers", 0);
  shape.vocabulary = read("vocab_size", 0);
  shape.heads = read("num_attention_heads", 0);
  shape.kv_heads = read("num_key_value_heads", shape.heads);
  shape.head_dim = shape.heads > 0 ? read("head_dim", shape.hidden / shape.heads) : 0;
  shape.tied_embeddings =
      config.value("tie_word_embeddings", nlohmann::json(false)) == nlohmann::json(true);
  if (!status.ok()) {
    return status;
  }
  return shape;
}

std::optional<ModelShape> NamedShape(std::string_view id) {
  const std::size_t slash = id.rfind('/');
  const std::string name = absl::AsciiStrToLower(
      std::string(slash == std::string_view::npos ? id : id.substr(slash + 1)));
  for (const NamedModel& model : kNamedModels) {
    if (model.name == name) {
      return model.shape;
    }
  }
  return std::nullopt;
}

std::vector<LinearShape> BlockLinears(const ModelShape& shape) {
  const std::int64_t queries = shape.heads * shape.head_dim;
  const std::int64_t keys = shape.kv_heads * shape.head_dim;
  return {{"q_proj", queries, shape.hidden},
          {"k_proj", keys, shape.hidden},
          {"v_proj", keys, shape.hidden},
          {"o_proj", shape.hidden, queries},
          {"gate_proj", shape.intermediate, shape.hidden},
          {"up_proj", shape.intermediate, shape.hidden},
          {"down_proj", shape.hidden, shape.intermediate}};
}

std::int64_t ParameterCount(const ModelShape& shape) {
  return LinearParameters(shape) + OtherParameters(shape);
}

std::int64_t Fp16Bytes(const ModelShape& shape) {
  return kFloat16Bytes * ParameterCount(shape);
}

CheckpointSize PredictCheckpoint(const ModelShape& shape, const PrecisionSpec& precision) {
  const std::int64_t stored_code_bits = precision.codebook_bits <= 8 ? 8 : 16;
  const std::int64_t stored = QuantizedBits(shape, precision, stored_code_bits);
  const std::int64_t packed = QuantizedBits(shape, precision, precision.codebook_bits);
  const std::int64_t other = kFloat16Bytes * OtherParameters(shape);
  const auto weights = static_cast<double>(LinearParameters(shape));
  CheckpointSize size;
  size.stored_bytes = (stored + 7) / 8 + other;
  size.packed_bytes = (packed + 7) / 8 + other;
  size.stored_effective_bits = static_cast<double>(stored) / weights;
  size.packed_effective_bits = static_cast<double>(packed) / weights;
  return size;
}

absl::Status CheckGroups(const ModelShape& shape, const PrecisionSpec& precision) {
  for (const LinearShape& linear : BlockLinears(shape)) {
    if (linear.in % precision.group_size != 0) {
      return absl::InvalidArgumentError(absl::StrCat("precision '",
                                                     precision.label,
                                                     "': group_size ",
                                                     precision.group_size,
                                                     " does not divide the ",
                                                     linear.in,
                                                     " input features of ",
                                                     std::string(linear.name)));
    }
  }
  return absl::OkStatus();
}

}  // namespace bitsweep
