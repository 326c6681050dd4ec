#include "worker/engine/checkpoint/measure.h"

#include <string>

#include "worker/engine/checkpoint/packed_codes.h"

namespace bitsweep::engine {
namespace {

std::int64_t EntryBytes(const Checkpoint& checkpoint, const std::string& name) {
  const SafetensorsFile::Entry& entry = checkpoint.tensors().at(name)->entries().at(name);
  return static_cast<std::int64_t>(entry.end - entry.begin);
}

// Bytes of one linear's tensors.
struct LinearBytes {
  std::int64_t stored = 0;
  std::int64_t packed = 0;
  std::int64_t unpacked = 0;
};

LinearBytes MeasureLinear(const Checkpoint& checkpoint,
                          const std::string& prefix,
                          std::int64_t weights) {
  if (!checkpoint.IsQuantized(prefix)) {
    const std::int64_t bytes = EntryBytes(checkpoint, prefix + ".weight");
    return {bytes, bytes, bytes};
  }
  const AqlmConfig& aqlm = *checkpoint.config().aqlm;
  const std::int64_t others =
      EntryBytes(checkpoint, prefix + ".codebooks") + EntryBytes(checkpoint, prefix + ".scales");
  const std::int64_t codes = weights / aqlm.group_size * aqlm.codebooks;
  const std::string stored = prefix + (aqlm.packed ? ".codes_packed" : ".codes");
  return {others + EntryBytes(checkpoint, stored),
          others + PackedBytes(codes, aqlm.codebook_bits),
          others + codes * (aqlm.codebook_bits <= 8 ? 1 : 2)};
}

}  // namespace

CheckpointSize MeasureCheckpoint(const Checkpoint& checkpoint) {
  const ModelConfig& config = checkpoint.config();
  CheckpointSize size;
  LinearBytes linears;
  for (std::int64_t layer = 0; layer < config.num_layers; ++layer) {
    for (const std::string& linear : ModelConfig::LinearNames()) {
      const auto [rows, columns] = config.LinearShape(linear);
      const LinearBytes bytes = MeasureLinear(
          checkpoint, "model.layers." + std::to_string(layer) + "." + linear, rows * columns);
      linears.stored += bytes.stored;
      linears.packed += bytes.packed;
      linears.unpacked += bytes.unpacked;
      size.linear_parameters += rows * columns;
    }
  }
  size.parameters = size.linear_parameters + (2 * config.num_layers + 1) * config.hidden_size +
                    config.vocab_size * config.hidden_size;
  // A head that shares the embedding's weights is not counted twice.
  if (!config.tie_word_embeddings) {
    size.parameters += config.vocab_size * config.hidden_size;
  }
  for (const auto& [name, file] : checkpoint.tensors()) {
    size.stored_bytes += EntryBytes(checkpoint, name);
  }
  size.packed_bytes = size.stored_bytes - linears.stored + linears.packed;
  size.unpacked_bytes = size.stored_bytes - linears.stored + linears.unpacked;
  const auto weights = static_cast<double>(size.linear_parameters);
  size.stored_effective_bits = 8.0 * static_cast<double>(linears.stored) / weights;
  size.packed_effective_bits = 8.0 * static_cast<double>(linears.packed) / weights;
  return size;
}

}  // namespace bitsweep::engine
