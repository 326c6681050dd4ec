// A sweep's labels in the words of a published table. Internal to this room. Pure free functions:
// any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "coordinator/study/published.h"
#include "coordinator/study/sweep_spec.h"

namespace bitsweep {

/// Lower-case letters and digits alone: "DeepSeek-Coder" -> "deepseekcoder".
std::string PlainLabel(const std::string& label);

struct PublishedModel {
  std::string family, params;
};

/// The published model that `model` is; nullopt: none of them.
std::optional<PublishedModel> PublishedModelOf(const ModelSpec& model,
                                               const std::vector<PublishedRow>& rows);

/// "16bit", "bf16" -> "fp16"; "2bit" -> "2-bit"; anything else as it is.
std::string PublishedPrecisionOf(const std::string& label);

}  // namespace bitsweep
