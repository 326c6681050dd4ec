// How stage needs and inputs lie in their JSON columns. Pure: any thread.
#pragma once

#include <string>
#include <vector>

#include <absl/status/statusor.h>

#include "proto/contract/stage.h"

namespace bitsweep {

std::string EncodeNeeds(const StageNeeds& needs);
std::string EncodeInputs(const std::vector<StageInput>& inputs);
/// DATA_LOSS: not what Encode wrote.
absl::StatusOr<StageNeeds> DecodeNeeds(const std::string& json);
absl::StatusOr<std::vector<StageInput>> DecodeInputs(const std::string& json);

}  // namespace bitsweep
