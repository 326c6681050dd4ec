#include "worker/engine/checkpoint/measure.h"

#include <string>

namespace bitsweep::engine {
namespace {

std::int64_t EntryBytes(const Checkpoint& checkpoint, const std::string& name) {
  const SafetensorsFile::Entry& entry = checkpoint.tensors().at(name)->entries().at(name);
  return static_cast<std::int64_t>(entry.end - entry.begin);
}

std::int64_t EntryElements(const Checkpoint& checkpoint, const std::string& name) {
  std::int64_t elements = 1;
  for (const std::int64_t size : checkpoint.tensors().at(name)->entries().at(name).shape) {
    elements *= size;
  }
  return elements;
}

// Bits of one linear's tensors.
struct LinearBits {
  std::int64_t stored = 0;
  std::int64_t packed = 0;
};

LinearBits MeasureLinear(const Checkpoint& checkpoint, const std::string& prefix) {
  if (!checkpoint.IsQuantized(prefix)) {
    const std::int64_t bits = 8 * EntryBytes(checkpoint, prefix + ".weight");
    return {bits, bits};
  }
  const std::int64_t others = 8 * (EntryBytes(checkpoint, prefix + ".codebooks") +
                                   EntryBytes(checkpoint, prefix + ".scales"));
  const std::int64_t codes = EntryElements(checkpoint, prefix + ".codes");
  return {others + 8 * EntryBytes(checkpoint, prefix + ".codes"),
          others + codes * checkpoint.config().aqlm->codebook_bits};
}

}  // namespace

CheckpointSize MeasureCheckpoint(const Checkpoint& checkpoint) {
  const ModelConfig& config = checkpoint.config();
  CheckpointSize size;
  LinearBits linears;
  for (std::int64_t layer = 0; layer < config.num_layers; ++layer) {
    for (const std::string& linear : ModelConfig::LinearNames()) {
      const LinearBits bits =
          MeasureLinear(checkpoint, "model.layers." + std::to_string(layer) + "." + linear);
      linears.stored += bits.stored;
      linears.packed += bits.packed;
      const auto [rows, columns] = config.LinearShape(linear);
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
  size.packed_bytes = size.stored_bytes - (linears.stored - linears.packed) / 8;
  const auto weights = static_cast<double>(size.linear_parameters);
  size.stored_effective_bits = static_cast<double>(linears.stored) / weights;
  size.packed_effective_bits = static_cast<double>(linears.packed) / weights;
  return size;
}

}  // namespace bitsweep::engine
