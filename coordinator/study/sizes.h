// Predicts how large a quantized checkpoint will be, from the shapes in config.json alone, in the
// published form (int16 or int8 codes) and bit-packed. The unit is the byte; people are shown GB =
// 10^9 bytes. Plain values and free functions: any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "coordinator/study/sweep_spec.h"

namespace bitsweep {

/// A Llama-architecture model, as config.json says.
struct ModelShape {
  std::int64_t hidden = 0, intermediate = 0, layers = 0, vocabulary = 0;
  std::int64_t heads = 0, kv_heads = 0, head_dim = 0;
  bool tied_embeddings = false;
};

/// Reads hidden_size, intermediate_size, num_hidden_layers, vocab_size, num_attention_heads,
/// num_key_value_heads (default: as many), head_dim (default hidden / heads), tie_word_embeddings.
/// INVALID_ARGUMENT: `origin: key: what was found`, also for an architecture that is not Llama's.
absl::StatusOr<ModelShape> ParseModelShape(std::string_view config_json, const std::string& origin);

/// The shape of a published model by its usual name ("CodeLlama-7b-hf",
/// "deepseek-coder-6.7b-base"), so that a plan has sizes where no config.json is at hand. Letter
/// case and folders before the last '/' do not matter.
std::optional<ModelShape> NamedShape(std::string_view id);

/// One linear of a block: `out` x `in` weights.
struct LinearShape {
  std::string_view name;  // "q_proj"
  std::int64_t out = 0, in = 0;
};
/// The seven linears of a block, which are what is quantized.
std::vector<LinearShape> BlockLinears(const ModelShape& shape);

/// Parameters of the whole model: linears, embeddings, head (once when tied) and norms.
std::int64_t ParameterCount(const ModelShape& shape);

/// Bytes at 16 bits a parameter.
std::int64_t Fp16Bytes(const ModelShape& shape);

struct CheckpointSize {
  std::int64_t stored_bytes =
      0;  // Published form: codes int8 where codebook_bits <= 8, else int16.
  std::int64_t packed_bytes = 0;  // Codes with codebook_bits bits each.
  double stored_effective_bits =
      0;  // (codes + codebooks + scales) / weights of the quantized linears.
  double packed_effective_bits = 0;
};

/// design/study.md section 2. REQUIRES: CheckGroups(shape, precision) is ok.
CheckpointSize PredictCheckpoint(const ModelShape& shape, const PrecisionSpec& precision);

/// INVALID_ARGUMENT names the linear whose input features `group_size` does not divide.
absl::Status CheckGroups(const ModelShape& shape, const PrecisionSpec& precision);

}  // namespace bitsweep
