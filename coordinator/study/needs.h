// How much memory, disk and time a stage takes, from the shape of its model: estimates for matching
// and ranking, on the safe side. A sweep file's `resources` overrides the memory. Pure free
// functions: any thread.
#pragma once

#include "coordinator/study/sizes.h"
#include "coordinator/study/sweep_spec.h"

#include "proto/contract/stage.h"

namespace bitsweep {

/// What the estimates are made from.
struct StageLoad {
  const ModelShape* shape =
      nullptr;  // nullptr where stages are only counted: then needs stay at their defaults.
  std::int64_t model_bytes = 0;  // Of the weights files that the stage reads.
  Numerics numerics;
  const ResourceSpec* resources = nullptr;  // nullptr: none given for this model.
};

/// Host: the mapped checkpoint + three copies of a block in float32 + the two largest H (float32,
/// doubled while they are summed) + inputs and outputs of the block for every sequence in the dtype
/// of the run + 256 MiB. GPU: three copies of a block in float32 + the same H + 8 sequences of
/// activations + the codebooks' tables + 1 GiB.
StageNeeds QuantizeNeeds(const StageLoad& load,
                         const PrecisionSpec& precision,
                         const CalibrationSpec& calibration);

/// Weights, gradients and two Adam moments of what is trained in float32, the teacher in the run's
/// dtype, activations per block of the sequences that pass together: one, or on a GPU as many of a
/// batch as make kFinetunePassTokens. Where codes move, for each alternative of each group: 24
/// bytes, and 4 a codebook (on a GPU 8).
StageNeeds FinetuneNeeds(const StageLoad& load,
                         const PrecisionSpec& precision,
                         const CalibrationSpec& calibration,
                         const FinetuneSpec& finetune);

// The engine's own number (worker/engine/finetune).
inline constexpr std::int64_t kFinetunePassTokens = 8192;

/// CPU: the mapped checkpoint + its weights in the run's dtype + keys and values of 64 sequences +
/// 256 MiB. GPU: weights in the run's dtype + keys and values of 64 sequences + 1 GiB; host: the
/// checkpoint + 1 GiB.
StageNeeds GenerateNeeds(const StageLoad& load, const SamplingSpec& sampling);

/// A sandboxed program may use 512 MiB, and a JVM compiles beside it.
StageNeeds GradeNeeds(const GradingSpec& grading, std::string_view language);

/// Relative seconds on two cores, from a few runs with small models: a guess, good enough to rank a
/// critical path.
double QuantizeCost(const StageLoad& load, const PrecisionSpec& precision);
double FinetuneCost(const StageLoad& load,
                    const CalibrationSpec& calibration,
                    const FinetuneSpec& finetune);
double GenerateCost(const StageLoad& load, const SamplingSpec& sampling, int problems);
double GradeCost(const SamplingSpec& sampling, int problems, std::string_view language);

}  // namespace bitsweep
