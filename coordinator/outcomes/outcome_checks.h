// Checks of a file of outcomes as a whole, and what a model's name says. Internal to this room.
#pragma once

#include <string>

#include <absl/status/status.h>

#include "coordinator/outcomes/outcomes_file.h"

namespace bitsweep {

/// Cells of one benchmark and language have the same problems; every problem of the benchmark the
/// same samples; and every variant has every seed. INVALID_ARGUMENT `origin:line: ...` names the
/// problem, the cell and what the others have.
absl::Status CheckPairing(const OutcomesFile& file, const std::string& origin);

/// "CodeLlama-7b-hf" -> family "CodeLlama", params "7B"; a name that has no size is its own family
/// (params "").
OutcomeModel FamilyAndParams(const std::string& id);

}  // namespace bitsweep
