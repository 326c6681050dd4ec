#include "worker/engine/finetune/memory_bound.h"

#include <algorithm>
#include <cstddef>
#include <string>

#include "worker/engine/finetune/kl_head.h"
#include "worker/engine/finetune/teacher.h"

namespace bitsweep::engine {
namespace {

// Bytes.
constexpr std::int64_t kFloat = 4;
constexpr std::int64_t kStored = 2;
constexpr std::int64_t kTokenBytes = 2 * 8;
// Copies of a chunk of logits that the loss and its gradient hold at once.
constexpr std::int64_t kLogitCopies = 8;
// Copies of one linear's weights while its gradient is pulled back.
constexpr std::int64_t kPullCopies = 6;
// Floats a candidate of the search for alternatives of codes.
constexpr std::int64_t kCandidateFloats = 6;
// Copies of alternatives' sums, and of their shares, while a gradient is pulled back to them.
constexpr std::int64_t kMixedCopies = 4;

std::int64_t LinearWeights(const ModelConfig& config, std::int64_t* largest) {
  std::int64_t sum = 0;
  for (const std::string& name : ModelConfig::LinearNames()) {
    const auto [rows, columns] = config.LinearShape(name);
    sum += rows * columns;
    *largest = std::max(*largest, rows * columns);
  }
  return sum;
}

// What the parameters add up to. Numbers of elements but for `bytes`.
struct ParameterSums {
  std::int64_t bytes = 0;  // Master values, and with those that are trained all that Adam keeps.
  std::int64_t gradients = 0;  // Of a pass.
  std::int64_t values = 0;
  std::int64_t greatest = 0;  // Of the gradients.
  std::int64_t entries = 0, group = 1;
  std::int64_t logits = 0;  // Of one linear, where codes are trained.
};

ParameterSums SumsOf(const FinetuneSizes& sizes) {
  ParameterSums sums;
  for (std::size_t p = 0; p < sizes.parameters.size(); ++p) {
    const Parameter& parameter = *sizes.parameters[p];
    const std::int64_t count = parameter.value.numel();
    const bool is_codes = parameter.part == TrainedPart::kCodes;
    if (is_codes && !sizes.is_trained[p]) {
      continue;  // Among code_bytes.
    }
    sums.values += count;
    sums.greatest = std::max(sums.greatest, count);
    sums.gradients += count;
    // Where it is trained: the best value and both moments.
    sums.bytes += kFloat * count * (sizes.is_trained[p] ? 4 : 1);
    sums.logits = std::max(sums.logits, is_codes ? count : 0);
    if (parameter.part == TrainedPart::kCodebooks) {
      sums.entries = std::max(sums.entries, parameter.value.size(1));
      sums.group = parameter.value.size(3);
    }
  }
  return sums;
}

// The search for the alternatives of one linear, before anything is trained.
std::int64_t SearchBytes(const FinetuneSizes& sizes,
                         const ParameterSums& sums,
                         std::int64_t largest) {
  const std::int64_t candidates =
      std::min(CandidatesAtOnce(sizes.on_cpu),
               largest / sums.group * sizes.codes.alternatives * sums.entries);
  return kFloat * (kCandidateFloats * candidates + kPullCopies * largest + 4 * sums.logits);
}

// Mixtures of one linear in a pass.
std::int64_t MixedBytes(const FinetuneSizes& sizes, const ParameterSums& sums) {
  return kFloat * kMixedCopies *
         (std::min(MixedAtOnce(sizes.on_cpu), sums.logits * sums.group) + sums.logits);
}

}  // namespace

std::int64_t FinetuneMemoryBound(const FinetuneSizes& sizes) {
  const ModelConfig& config = sizes.config;
  const ParameterSums sums = SumsOf(sizes);
  const std::int64_t table = config.vocab_size * config.hidden_size;
  std::int64_t largest = 0;
  const std::int64_t teacher = config.num_layers * LinearWeights(config, &largest) + 2 * table +
                               config.hidden_size * (2 * config.num_layers + 1);
  const std::int64_t passes = (sizes.batch + sizes.pass_sequences - 1) / sizes.pass_sequences;
  const std::int64_t side_by_side = std::min(sizes.threads, passes);

  const std::int64_t tokens = sizes.pass_sequences * sizes.length;
  const std::int64_t block_graph = sizes.kept_graph_bytes / config.num_layers;
  const std::int64_t graphs =
      sizes.recompute ? block_graph + kFloat * config.num_layers * tokens * config.hidden_size
                      : sizes.kept_graph_bytes;
  const std::int64_t around =
      kFloat * (kLogitCopies * LogitsAtOnce(sizes.on_cpu, config.vocab_size) + 2 * table +
                kPullCopies * (largest + tokens * config.hidden_size)) +
      MixedBytes(sizes, sums);
  const std::int64_t hidden = kFloat * sizes.sequences * sizes.length * config.hidden_size;

  std::int64_t bytes = sizes.teacher_value_bytes * teacher + sums.bytes + sizes.code_bytes;
  // A block of it, and its head, in f32.
  bytes += sizes.teacher_value_bytes < kFloat ? kFloat * (teacher / config.num_layers + table) : 0;
  bytes += kFloat * sums.gradients * (1 + side_by_side);
  // A step's passes, or those without gradients that measure.
  bytes += std::max(side_by_side * (graphs + around), sizes.threads * (block_graph + around));
  bytes += hidden <= kTeacherBytesMax ? hidden : 0;
  bytes += kTokenBytes * sizes.sequences * sizes.length;
  bytes += 2 * kFloat * sums.greatest;  // Of Adam's step.
  bytes += sums.logits > 0 ? SearchBytes(sizes, sums, largest) : 0;
  // Pages of the weight files, which are mapped.
  return bytes + (sizes.on_cpu ? kStored * (teacher + sums.values) : 0);
}

}  // namespace bitsweep::engine
