#include "coordinator/study/needs.h"

#include <algorithm>

#include "coordinator/study/methods.h"

namespace bitsweep {
namespace {

constexpr std::int64_t kMiB = 1 << 20;
constexpr std::int64_t kGiB = 1 << 30;
constexpr std::int64_t kFloat32Bytes = 4;
// Sequences that generate decodes together; more would be faster and is the engine's choice where
// memory allows.
constexpr std::int64_t kBatchAssumed = 64;
// The engine's own (worker/engine/finetune).
constexpr std::int64_t kCodeAlternativesDefault = 8;

std::int64_t DtypeBytes(const Numerics& numerics) {
  return numerics.dtype == "f32" ? 4 : 2;
}

std::int64_t BlockParameters(const ModelShape& shape) {
  std::int64_t weights = 2 * shape.hidden;
  for (const LinearShape& linear : BlockLinears(shape)) {
    weights += linear.out * linear.in;
  }
  return weights;
}

/// Bytes of X^T X for the two widest inputs of a block.
std::int64_t GramBytes(const ModelShape& shape) {
  return 2 * kFloat32Bytes *
         (shape.hidden * shape.hidden +
          std::max(shape.intermediate * shape.intermediate, shape.hidden * shape.hidden));
}

/// Of codes that move: each alternative of a group has a logit with its best value, two moments and
/// two gradients, and its codes, which on a GPU an index names once more.
std::int64_t MovedCodesBytes(const StageLoad& load,
                             const PrecisionSpec& precision,
                             const FinetuneSpec& finetune) {
  const std::int64_t groups =
      load.shape->layers * BlockParameters(*load.shape) / precision.group_size;
  const std::int64_t alternatives =
      finetune.engine_options.value("code_alternatives", kCodeAlternativesDefault);
  const std::int64_t lists = load.numerics.device == "cuda" ? 2 : 1;
  const std::int64_t an_alternative = kFloat32Bytes * (6 + lists * precision.codebooks);
  return groups * (alternatives * an_alternative + 3 * kFloat32Bytes * precision.codebooks);
}

/// Device and what the sweep file says instead of the estimate.
void Finish(const StageLoad& load, std::int64_t gpu_bytes, StageNeeds& needs) {
  needs.device = load.numerics.device;
  if (needs.device == "cuda") {
    needs.gpus = 1;
    needs.gpu_bytes = gpu_bytes;
  }
  if (load.resources == nullptr) {
    return;
  }
  if (needs.gpus > 0) {
    needs.gpu_bytes = load.resources->gpu_bytes.value_or(needs.gpu_bytes);
  }
  needs.host_bytes = load.resources->host_bytes.value_or(needs.host_bytes);
  needs.cores = load.resources->cores.value_or(needs.cores);
}

}  // namespace

StageNeeds QuantizeNeeds(const StageLoad& load,
                         const PrecisionSpec& precision,
                         const CalibrationSpec& calibration) {
  StageNeeds needs;
  std::int64_t gpu_bytes = 0;
  if (load.shape != nullptr) {
    const ModelShape& shape = *load.shape;
    const std::int64_t block = 3 * kFloat32Bytes * BlockParameters(shape);
    const std::int64_t tokens = calibration.sequences() * calibration.sequence_length;
    const std::int64_t activations = 2 * tokens * shape.hidden * DtypeBytes(load.numerics);
    needs.host_bytes = load.model_bytes + block + GramBytes(shape) + activations + 256 * kMiB;
    const std::int64_t tables = kFloat32Bytes * precision.codebooks *
                                (std::int64_t{1} << precision.codebook_bits) *
                                (precision.group_size + shape.hidden);
    gpu_bytes = block + GramBytes(shape) +
                8 * calibration.sequence_length * shape.intermediate * kFloat32Bytes + tables +
                kGiB;
    needs.disk_bytes = PredictCheckpoint(shape, precision).stored_bytes + 64 * kMiB;
  }
  Finish(load, gpu_bytes, needs);
  return needs;
}

StageNeeds FinetuneNeeds(const StageLoad& load,
                         const PrecisionSpec& precision,
                         const CalibrationSpec& calibration,
                         const FinetuneSpec& finetune) {
  StageNeeds needs;
  std::int64_t gpu_bytes = 0;
  if (load.shape != nullptr) {
    const ModelShape& shape = *load.shape;
    const std::int64_t trained =
        2 * shape.vocabulary * shape.hidden;  // The tables outweigh codebooks and norms.
    const std::int64_t student = kFloat32Bytes * (ParameterCount(shape) + 3 * trained);
    const std::int64_t logits = 2 * kFloat32Bytes * calibration.sequence_length * shape.vocabulary;
    const std::int64_t together =
        load.numerics.device == "cuda"
            ? std::clamp<std::int64_t>(
                  kFinetunePassTokens / calibration.sequence_length, 1, finetune.batch)
            : 1;
    const std::int64_t activations = kFloat32Bytes * together * calibration.sequence_length *
                                     (shape.layers * shape.hidden + 4 * shape.intermediate);
    const std::int64_t moves =
        finetune.objective == kPvObjective ? MovedCodesBytes(load, precision, finetune) : 0;
    const std::int64_t all = load.model_bytes + student + logits + activations + moves;
    gpu_bytes = all + kGiB;
    // On the CPU the engine keeps whole graphs where they take at most 512 MiB.
    needs.host_bytes = load.numerics.device == "cuda" ? load.model_bytes + kGiB : all + 768 * kMiB;
    needs.disk_bytes = 2 * load.model_bytes;
  }
  Finish(load, gpu_bytes, needs);
  return needs;
}

StageNeeds GenerateNeeds(const StageLoad& load, const SamplingSpec& sampling) {
  StageNeeds needs;
  std::int64_t gpu_bytes = 0;
  if (load.shape != nullptr) {
    const ModelShape& shape = *load.shape;
    const std::int64_t weights = ParameterCount(shape) * DtypeBytes(load.numerics);
    const std::int64_t sequences =
        std::min<std::int64_t>(kBatchAssumed, sampling.samples * std::int64_t{64});
    const std::int64_t cache = 2 * shape.layers * shape.kv_heads * shape.head_dim *
                               DtypeBytes(load.numerics) * sampling.max_tokens_total * sequences;
    gpu_bytes = weights + cache + kGiB;
    needs.host_bytes = load.numerics.device == "cuda"
                           ? load.model_bytes + kGiB
                           : load.model_bytes + weights + cache + 256 * kMiB;
    needs.disk_bytes = 64 * kMiB;
  }
  Finish(load, gpu_bytes, needs);
  return needs;
}

StageNeeds GradeNeeds(const GradingSpec& grading, std::string_view language) {
  StageNeeds needs;
  needs.isolation = grading.isolation;
  // A limit that was raised is meant to be used.
  needs.host_bytes =
      std::max<std::int64_t>((language == "java" ? 1024 : 512) * kMiB,
                             grading.ProgramsOf(language).limits.value("memory_bytes", 0LL));
  needs.disk_bytes = 64 * kMiB;
  return needs;
}

double QuantizeCost(const StageLoad& load, const PrecisionSpec& precision) {
  const double weights =
      load.shape == nullptr ? 1e9 : static_cast<double>(ParameterCount(*load.shape));
  const double candidates =
      precision.codebooks * static_cast<double>(std::int64_t{1} << precision.codebook_bits);
  return 1.0 + weights * 2e-6 * std::max(1.0, candidates / 512.0);
}

double FinetuneCost(const StageLoad& load,
                    const CalibrationSpec& calibration,
                    const FinetuneSpec& finetune) {
  const double weights =
      load.shape == nullptr ? 1e9 : static_cast<double>(ParameterCount(*load.shape));
  const double tokens =
      static_cast<double>(calibration.sequences() * calibration.sequence_length) * finetune.epochs;
  // On the CPU mixing alternatives of codes takes longer than the passes, on a GPU next to nothing.
  const bool is_slow = finetune.objective == kPvObjective && load.numerics.device != "cuda";
  const double mixtures = is_slow ? 2.5 : 1;
  return 1.0 + mixtures * weights * tokens * 8 / 2e10;
}

double GenerateCost(const StageLoad& load, const SamplingSpec& sampling, int problems) {
  const double weights =
      load.shape == nullptr ? 1e9 : static_cast<double>(ParameterCount(*load.shape));
  const double tokens =
      0.25 * sampling.max_tokens_total * static_cast<double>(problems) * sampling.samples;
  return 1.0 + tokens * weights * 2 / 2e10;
}

double GradeCost(const SamplingSpec& sampling, int problems, std::string_view language) {
  return 0.5 +
         static_cast<double>(problems) * sampling.samples * (language == "java" ? 0.05 : 0.01);
}

}  // namespace bitsweep
