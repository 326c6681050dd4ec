// The completions of a model, as JSON lines: {"name", "sample", "completion", ...}.
// Thread rule: free functions; any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

#include "worker/benchmark/record.h"

namespace bitsweep::grade {

struct Completion {
  std::size_t record = 0;  // Index into the benchmark's records.
  std::int64_t sample = 0;
  std::string text;
};

/// Reads completions for `records`, in file order. INVALID_ARGUMENT, naming file:line: malformed
/// JSON, a missing key, a name that the benchmark does not have (with the nearest that it has), the
/// same sample twice, no completion at all. NOT_FOUND: no file.
absl::StatusOr<std::vector<Completion>> ReadCompletions(
    const std::filesystem::path& path, const std::vector<benchmark::Record>& records);

/// As ReadCompletions, for text in memory.
absl::StatusOr<std::vector<Completion>> ParseCompletions(
    std::string_view text,
    const std::string& origin,
    const std::vector<benchmark::Record>& records);

/// One completion for each record: its canonical solution. INVALID_ARGUMENT: a record has none.
absl::StatusOr<std::vector<Completion>> CanonicalCompletions(
    const std::vector<benchmark::Record>& records);

}  // namespace bitsweep::grade
