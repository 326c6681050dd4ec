// The `method` of a finetune stage, read strictly and written back into the report.
// Thread rule: free functions.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "worker/engine/finetune/code_choice.h"
#include "worker/engine/finetune/parameters.h"
#include "worker/engine/finetune/products.h"
#include "worker/engine/strict_object.h"

namespace bitsweep::engine {

/// Whether a pass keeps the graphs of all blocks, or builds each again when gradients come back.
/// The result is the same to the bit.
enum class GradientCheckpointing {
  kAuto,  // Where kept graphs would take more than kKeptGraphBytesMax.
  kOn,
  kOff
};

inline constexpr std::int64_t kKeptGraphBytesMax = std::int64_t{512} << 20;

/// What moves towards the teacher's distributions.
enum class FinetuneObjective {
  kTeacherKl,   // What is not codes.
  kPvTeacherKl  // PV-tuning (arXiv 2405.14852): codes, too.
};

/// Defaults are the study's (arXiv 2503.07103); where those of `codes` come from is in README.md.
struct FinetuneOptions {
  FinetuneObjective objective = FinetuneObjective::kTeacherKl;
  double learning_rate = 1e-5;
  double learning_rate_end = 1.0;  // What is left of it at the last step, as a share; linear.
  int epochs = 5;
  int early_stop = 3;      // Epochs without a better validation loss; 0: never.
  std::int64_t batch = 1;  // Sequences a step.
  std::set<TrainedPart> train = {TrainedPart::kCodebooks,
                                 TrainedPart::kScales,
                                 TrainedPart::kNorms,
                                 TrainedPart::kEmbeddings,
                                 TrainedPart::kLmHead};
  GradientCheckpointing checkpointing = GradientCheckpointing::kAuto;
  Products products = Products::kF32;
  CodeChoiceOptions codes;  // Of pv-teacher-kl.
};

/// {"objective": "teacher-kl" | "pv-teacher-kl", and optionally "learning_rate",
/// "learning_rate_end", "epochs", "early_stop", "batch", "train": a list of codebooks, scales,
/// norms, embeddings, lm_head, "gradient_checkpointing": auto | on | off, "products": f32 | bf16,
/// and with pv-teacher-kl "code_learning_rate", "code_alternatives", "code_sharpness",
/// "code_settled"}. Throws kBadInput naming member, value and what is allowed.
FinetuneOptions ReadFinetuneMethod(StrictObject method);

/// Every option with its value, as ReadFinetuneMethod reads it.
nlohmann::json ToJson(const FinetuneOptions& options);

/// The names that `train` may hold, in the order of TrainedPart.
const std::vector<std::string>& TrainedPartNames();

/// The values of `objective`, in the order of FinetuneObjective.
const std::vector<std::string>& FinetuneObjectiveNames();

}  // namespace bitsweep::engine
