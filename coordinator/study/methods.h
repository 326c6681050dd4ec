// What a precision and a fine-tuning ask of the engine: the names that a sweep file may use, the
// `method` of stage specs and keys (proto/README.md), and the same in words. Internal to this room.
// Pure free functions: any thread.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "coordinator/study/sweep_spec.h"

namespace bitsweep {

/// `objective` of a fine-tuning; the first is the default. kPvObjective moves codes, too
/// (PV-tuning, arXiv 2405.14852).
inline constexpr std::string_view kPvObjective = "pv-teacher-kl";
const std::vector<std::string>& ObjectiveNames();

/// What `train` may list, in the order that specs and keys have.
const std::vector<std::string>& TrainedPartNames();

/// `initialisation` of a precision's options; the first is the default.
const std::vector<std::string>& InitialisationNames();

/// `products` of a fine-tuning or of a block's; the first is the default.
const std::vector<std::string>& ProductsNames();

/// `method` of a quantize stage, in its spec and in its key.
nlohmann::json QuantizeMethod(const PrecisionSpec& precision);

/// `method` of a finetune stage as its key has it: everything that decides the result. Members that
/// came after the first keys were made stand there only where they are not at their default, so
/// that a new option changes no key of a study that does not use it.
nlohmann::json FinetuneKeyMethod(const FinetuneSpec& finetune);

/// The same with what changes no result.
nlohmann::json FinetuneSpecMethod(const FinetuneSpec& finetune);

/// Every option with its value, defaults included, and its name: for `plan`.
nlohmann::json FinetuneInFull(const FinetuneSpec& finetune);

/// "teacher-kl, learning rate 0.0002, at most 2 epochs, early stop 3, batch 2; trains codebooks,
/// scales, norms, embeddings, lm_head".
std::string FinetuneText(const FinetuneSpec& finetune);

/// "block_tuning {"epochs":10}, initialisation weighted-kmeans"; "" where no option is given.
std::string OptionsText(const PrecisionSpec& precision);

}  // namespace bitsweep
