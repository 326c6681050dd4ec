// A grade stage's verdicts.jsonl (proto/README.md) -> rows for the store. Pure: any thread.
#pragma once

#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

#include "coordinator/domain/verdict.h"

namespace bitsweep {

/// INVALID_ARGUMENT names the line and the member. A verdict `infrastructure` is refused: such a run must fail, not count.
absl::StatusOr<std::vector<VerdictRow>> ParseVerdicts(std::string_view jsonl);

}  // namespace bitsweep
