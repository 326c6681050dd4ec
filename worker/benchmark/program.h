// Assembles the program that decides whether a completion is right.
// Thread rule: free functions without state; any thread.
#pragma once

#include <string>
#include <string_view>

#include "worker/benchmark/record.h"
#include "worker/benchmark/scanner.h"

namespace bitsweep::benchmark {

/// The whole cut of a completion: stop strings, then post-processing. Under PostProcessing::kNone
/// the stop strings, which are the record's own, still apply. A view into `completion`. Idempotent.
std::string_view CutCompletion(const Record& record,
                               std::string_view completion,
                               PostProcessing policy);

/// prompt + completion + "\n" + tests. `completion` has been cut. The prompt is the record's own,
/// not stripped.
std::string AssembleProgram(const Record& record, std::string_view completion);

}  // namespace bitsweep::benchmark
