// config.json of a Llama-architecture model, both styles: `rope_theta` + `rope_scaling`
// (transformers 4) and `rope_parameters` (transformers 5), with the AQLM `quantization_config` when
// there is one.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace bitsweep::engine {

struct RopeConfig {
  std::string type = "default";  // default | linear | llama3; anything else is refused at load.
  double theta = 10000.0;
  double factor = 1.0;           // linear and llama3
  double low_freq_factor = 1.0;  // llama3 only, with the two below
  double high_freq_factor = 4.0;
  std::int64_t original_max_position_embeddings = 8192;
};

/// `packing` of a packed checkpoint's `quantization_config` (README.md, "Packed checkpoints").
inline constexpr const char* kPackingFormat = "bitstream";
inline constexpr int kPackingVersion = 1;

/// `quantization_config` of a Hugging Face AQLM checkpoint. K = 2^codebook_bits.
struct AqlmConfig {
  int codebooks = 0;      // M, "num_codebooks"
  int codebook_bits = 0;  // B, "nbits_per_codebook"
  int group_size = 0;     // g, "in_group_size"; "out_group_size" must be 1
  bool packed = false;    // "packing" is there: codes are `.codes_packed`, B bits each
};

struct ModelConfig {
  std::int64_t hidden_size = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t num_layers = 0;
  std::int64_t num_heads = 0;
  std::int64_t num_kv_heads = 0;  // Equal to num_heads without grouped-query attention.
  std::int64_t head_dim = 0;      // hidden_size / num_heads unless given.
  std::int64_t vocab_size = 0;
  std::int64_t max_position_embeddings = 0;
  double rms_norm_eps = 1e-5;
  bool tie_word_embeddings = false;
  std::int64_t bos_token_id = -1;  // -1: none
  std::vector<std::int64_t> eos_token_ids;
  RopeConfig rope;
  std::optional<AqlmConfig> aqlm;
  nlohmann::json raw;  // config.json as read, for writing a derived checkpoint.

  /// The seven quantized linears of a block, in the order of computation: "self_attn.q_proj", k, v,
  /// o, "mlp.gate_proj", up, down.
  static const std::vector<std::string>& LinearNames();
  /// {out_features, in_features} of one of LinearNames().
  std::pair<std::int64_t, std::int64_t> LinearShape(const std::string& linear) const;
};

/// Reads `dir`/config.json (and generation_config.json's eos ids when there). Throws kBadInput
/// naming file and key; biases, other activations than silu, other architectures and unknown rope
/// types are refused by name.
ModelConfig LoadModelConfig(const std::string& dir);

}  // namespace bitsweep::engine
