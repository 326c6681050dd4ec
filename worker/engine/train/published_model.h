// What a training leaves in its output folder: a plain checkpoint in Hugging Face's layout and a
// report that tells which training it is of. Thread rule: free functions.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include <ATen/core/Tensor.h>

#include "worker/engine/train/flat_parameters.h"

namespace bitsweep::engine {

/// Writes the tokenizer's files and then model.safetensors (f16) beside the config.json that is
/// there. Throws kDiverged where a value is not finite in f16, kDiskFull on ENOSPC.
void WriteModel(const std::string& dir,
                const FlatLayout& layout,
                const at::Tensor& values,
                const std::string& tokenizer_dir);

/// report.json: {"format", "identity", "totals"}.
void WriteReport(const std::string& dir,
                 const nlohmann::json& identity,
                 const nlohmann::json& totals);

/// The totals of the folder's report where it is of this identity and the checkpoint is whole.
/// Throws kBadInput where the report is of another training: its model would be overwritten.
std::optional<nlohmann::json> FinishedTotals(const std::string& dir,
                                             const nlohmann::json& identity);

}  // namespace bitsweep::engine
