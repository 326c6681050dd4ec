#include "worker/engine/checkpoint/model_config.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

#include "worker/engine/checkpoint/atomic_file.h"
#include "worker/engine/error.h"

namespace bitsweep::engine {
namespace {

using nlohmann::json;

// A generous limit on every size: beyond it a config is damaged, and products of two still fit 64
// bits.
constexpr std::int64_t kSizeMax = std::int64_t{1} << 30;

json ParseJsonFile(const std::string& path) {
  const std::string text = ReadWholeFile(path);
  json value;
  try {
    value = json::parse(text);
  } catch (const json::exception& error) {
    ThrowBadInput(path + ": " + error.what());
  }
  if (!value.is_object()) {
    ThrowBadInput(path + ": want a JSON object, found " + value.type_name());
  }
  return value;
}

/// One JSON object of a config with its place in the file. Null members count as absent, as in
/// transformers.
struct ConfigReader {
  std::string place;  // "DIR/config.json: " or "DIR/config.json: rope_scaling."
  const json& object;

  const json* Find(const std::string& key) const {
    const auto it = object.find(key);
    return it == object.end() || it->is_null() ? nullptr : &*it;
  }
  [[noreturn]] void Refuse(const std::string& key, const std::string& message) const {
    ThrowBadInput(place + key + ": " + message);
  }
  std::int64_t Size(const std::string& key, std::int64_t max = kSizeMax) const {
    const json* value = Find(key);
    if (value == nullptr) {
      Refuse(key, "missing");
    }
    if (!value->is_number_integer() || value->get<std::int64_t>() < 1 ||
        value->get<std::int64_t>() > max) {
      Refuse(key,
             "found " + value->dump() + ", want an integer in [1, " + std::to_string(max) + "]");
    }
    return value->get<std::int64_t>();
  }
  std::int64_t SizeOr(const std::string& key, std::int64_t fallback) const {
    return Find(key) ? Size(key) : fallback;
  }
  double PositiveOr(const std::string& key, double fallback) const {
    const json* value = Find(key);
    if (value == nullptr) {
      return fallback;
    }
    if (!value->is_number() || !(value->get<double>() > 0)) {
      Refuse(key, "found " + value->dump() + ", want a number above 0");
    }
    return value->get<double>();
  }
  double Positive(const std::string& key) const {
    if (Find(key) == nullptr) {
      Refuse(key, "missing");
    }
    return PositiveOr(key, 0.0);
  }
  bool BoolOr(const std::string& key, bool fallback) const {
    const json* value = Find(key);
    if (value == nullptr) {
      return fallback;
    }
    if (!value->is_boolean()) {
      Refuse(key, "found " + value->dump() + ", want true or false");
    }
    return value->get<bool>();
  }
  std::string StringOr(const std::string& key, const std::string& fallback) const {
    const json* value = Find(key);
    if (value == nullptr) {
      return fallback;
    }
    if (!value->is_string()) {
      Refuse(key, "found " + value->dump() + ", want a string");
    }
    return value->get<std::string>();
  }
};

void CheckArchitecture(const ConfigReader& config) {
  const std::string type = config.StringOr("model_type", "llama");
  if (type != "llama") {
    config.Refuse("model_type",
                  "found '" + type + "'; only the Llama architecture ('llama') is supported");
  }
  if (const json* names = config.Find("architectures")) {
    const bool is_llama =
        names->is_array() &&
        std::find(names->begin(), names->end(), "LlamaForCausalLM") != names->end();
    if (!is_llama) {
      config.Refuse("architectures",
                    "found " + names->dump() + "; only LlamaForCausalLM is supported");
    }
  }
  const std::string activation = config.StringOr("hidden_act", "silu");
  if (activation != "silu") {
    config.Refuse("hidden_act", "found '" + activation + "'; only silu is supported");
  }
  for (const char* key : {"attention_bias", "mlp_bias"}) {
    if (config.BoolOr(key, false)) {
      config.Refuse(key, "biases in linears are not supported");
    }
  }
}

// Every member of a rope object changes the positions, so one that is not understood is refused.
void CheckRopeMembers(const ConfigReader& rope, const std::string& type) {
  std::set<std::string> known = {"type", "rope_type", "rope_theta", "partial_rotary_factor"};
  if (type != "default") {
    known.insert("factor");
  }
  if (type == "llama3") {
    known.insert({"low_freq_factor", "high_freq_factor", "original_max_position_embeddings"});
  }
  for (const auto& [key, value] : rope.object.items()) {
    if (known.count(key) == 0 && !value.is_null()) {
      rope.Refuse(key, "not understood for rope type '" + type + "'");
    }
  }
  if (rope.PositiveOr("partial_rotary_factor", 1.0) != 1.0) {
    rope.Refuse("partial_rotary_factor", "only 1.0 is supported");
  }
}

RopeConfig ReadRope(const ConfigReader& config) {
  RopeConfig rope;
  rope.theta = config.PositiveOr("rope_theta", rope.theta);
  const char* key = config.Find("rope_parameters") ? "rope_parameters" : "rope_scaling";
  const json* object = config.Find(key);
  if (object == nullptr) {
    return rope;
  }
  if (!object->is_object()) {
    config.Refuse(key, "found " + object->dump() + ", want an object or null");
  }
  const ConfigReader reader{config.place + key + ".", *object};
  const std::string legacy_type = reader.StringOr("type", "default");
  rope.type = reader.StringOr("rope_type", legacy_type);
  if (rope.type != "default" && rope.type != "linear" && rope.type != "llama3") {
    reader.Refuse(reader.Find("rope_type") ? "rope_type" : "type",
                  "found '" + rope.type + "'; supported are default, linear and llama3");
  }
  CheckRopeMembers(reader, rope.type);
  rope.theta = reader.PositiveOr("rope_theta", rope.theta);
  if (rope.type != "default") {
    rope.factor = reader.Positive("factor");
  }
  if (rope.type == "llama3") {
    rope.low_freq_factor = reader.Positive("low_freq_factor");
    rope.high_freq_factor = reader.Positive("high_freq_factor");
    rope.original_max_position_embeddings = reader.Size("original_max_position_embeddings");
    if (rope.high_freq_factor <= rope.low_freq_factor) {
      reader.Refuse("high_freq_factor", "must be above low_freq_factor");
    }
  }
  return rope;
}

// The packed form has one layout; a member that is not understood would mean another one.
bool ReadPacking(const ConfigReader& quantization) {
  const json* object = quantization.Find("packing");
  if (object == nullptr) {
    return false;
  }
  if (!object->is_object()) {
    quantization.Refuse("packing", "found " + object->dump() + ", want an object or null");
  }
  const json known = {
      {"format", kPackingFormat}, {"bit_order", "little"}, {"version", kPackingVersion}};
  const ConfigReader reader{quantization.place + "packing.", *object};
  for (const auto& [key, want] : known.items()) {
    const json* found = reader.Find(key);
    if (found == nullptr || *found != want) {
      reader.Refuse(key,
                    (found == nullptr ? std::string("missing") : "found " + found->dump()) +
                        ", this version reads " + want.dump());
    }
  }
  for (const auto& [key, value] : object->items()) {
    if (!known.contains(key)) {
      reader.Refuse(key, "not understood; a packing has format, bit_order and version");
    }
  }
  return true;
}

std::optional<AqlmConfig> ReadQuantization(const ConfigReader& config) {
  const json* object = config.Find("quantization_config");
  if (object == nullptr) {
    return std::nullopt;
  }
  if (!object->is_object()) {
    config.Refuse("quantization_config", "want an object");
  }
  const ConfigReader reader{config.place + "quantization_config.", *object};
  const std::string method = reader.StringOr("quant_method", "");
  if (method != "aqlm") {
    reader.Refuse("quant_method", "found '" + method + "'; only aqlm is supported");
  }
  AqlmConfig aqlm;
  aqlm.codebooks = static_cast<int>(reader.Size("num_codebooks", 64));
  aqlm.codebook_bits = static_cast<int>(reader.Size("nbits_per_codebook", 16));
  aqlm.group_size = static_cast<int>(reader.Size("in_group_size", 1024));
  if (reader.SizeOr("out_group_size", 1) != 1) {
    reader.Refuse("out_group_size",
                  "found " + (*object)["out_group_size"].dump() + "; only 1 is supported");
  }
  aqlm.packed = ReadPacking(reader);
  return aqlm;
}

void AddTokenIds(const ConfigReader& config,
                 const std::string& key,
                 std::vector<std::int64_t>* ids) {
  const json* value = config.Find(key);
  if (value == nullptr) {
    return;
  }
  const json list = value->is_array() ? *value : json::array({*value});
  for (const json& id : list) {
    if (!id.is_number_integer() || id.get<std::int64_t>() < 0) {
      config.Refuse(key, "found " + value->dump() + ", want token ids");
    }
    if (std::find(ids->begin(), ids->end(), id.get<std::int64_t>()) == ids->end()) {
      ids->push_back(id.get<std::int64_t>());
    }
  }
}

void ReadSizes(const ConfigReader& reader, ModelConfig* config) {
  config->hidden_size = reader.Size("hidden_size");
  config->intermediate_size = reader.Size("intermediate_size");
  config->num_layers = reader.Size("num_hidden_layers");
  config->num_heads = reader.Size("num_attention_heads");
  config->num_kv_heads = reader.SizeOr("num_key_value_heads", config->num_heads);
  config->vocab_size = reader.Size("vocab_size");
  config->max_position_embeddings = reader.SizeOr("max_position_embeddings", 2048);
  config->rms_norm_eps = reader.PositiveOr("rms_norm_eps", 1e-6);
  config->tie_word_embeddings = reader.BoolOr("tie_word_embeddings", false);
  if (config->num_heads % config->num_kv_heads != 0) {
    reader.Refuse("num_key_value_heads",
                  "found " + std::to_string(config->num_kv_heads) +
                      ", which does not divide num_attention_heads " +
                      std::to_string(config->num_heads));
  }
  if (reader.Find("head_dim") == nullptr && config->hidden_size % config->num_heads != 0) {
    reader.Refuse("num_attention_heads",
                  "found " + std::to_string(config->num_heads) +
                      ", which does not divide hidden_size " + std::to_string(config->hidden_size));
  }
  config->head_dim = reader.SizeOr("head_dim", config->hidden_size / config->num_heads);
  if (config->head_dim % 2 != 0) {
    reader.Refuse(
        "head_dim",
        "found " + std::to_string(config->head_dim) + ", rotary embedding needs an even one");
  }
}

void CheckGroups(const ConfigReader& reader, const ModelConfig& config) {
  for (const std::string& linear : ModelConfig::LinearNames()) {
    const std::int64_t in_features = config.LinearShape(linear).second;
    if (in_features % config.aqlm->group_size != 0) {
      reader.Refuse("quantization_config.in_group_size",
                    "found " + std::to_string(config.aqlm->group_size) +
                        ", which does not divide the " + std::to_string(in_features) +
                        " inputs of " + linear);
    }
  }
}

}  // namespace

const std::vector<std::string>& ModelConfig::LinearNames() {
  static const std::vector<std::string> kNames = {"self_attn.q_proj",
                                                  "self_attn.k_proj",
                                                  "self_attn.v_proj",
                                                  "self_attn.o_proj",
                                                  "mlp.gate_proj",
                                                  "mlp.up_proj",
                                                  "mlp.down_proj"};
  return kNames;
}

std::pair<std::int64_t, std::int64_t> ModelConfig::LinearShape(const std::string& linear) const {
  if (linear == "self_attn.q_proj") {
    return {num_heads * head_dim, hidden_size};
  }
  if (linear == "self_attn.k_proj" || linear == "self_attn.v_proj") {
    return {num_kv_heads * head_dim, hidden_size};
  }
  if (linear == "self_attn.o_proj") {
    return {hidden_size, num_heads * head_dim};
  }
  if (linear == "mlp.gate_proj" || linear == "mlp.up_proj") {
    return {intermediate_size, hidden_size};
  }
  if (linear == "mlp.down_proj") {
    return {hidden_size, intermediate_size};
  }
  throw EngineError(FailureClass::kBug, "no linear is called '" + linear + "'");
}

ModelConfig LoadModelConfig(const std::string& dir) {
  const std::string path = dir + "/config.json";
  if (!std::filesystem::exists(path)) {
    ThrowBadInput(path + " is missing: " +
                  (std::filesystem::is_directory(dir) ? "not a Hugging Face model folder"
                                                      : "there is no such folder"));
  }
  ModelConfig config;
  config.raw = ParseJsonFile(path);
  const ConfigReader reader{path + ": ", config.raw};
  CheckArchitecture(reader);
  ReadSizes(reader, &config);
  config.rope = ReadRope(reader);
  config.aqlm = ReadQuantization(reader);
  if (config.aqlm) {
    CheckGroups(reader, config);
  }
  std::vector<std::int64_t> bos;
  AddTokenIds(reader, "bos_token_id", &bos);
  config.bos_token_id = bos.empty() ? -1 : bos.front();
  AddTokenIds(reader, "eos_token_id", &config.eos_token_ids);
  const std::string generation_path = dir + "/generation_config.json";
  if (std::filesystem::exists(generation_path)) {
    const json generation = ParseJsonFile(generation_path);
    AddTokenIds({generation_path + ": ", generation}, "eos_token_id", &config.eos_token_ids);
  }
  return config;
}

}  // namespace bitsweep::engine
