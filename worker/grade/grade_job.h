// One grading job: what `run` and `run-spec` both build, and the one implementation that carries it
// out. Thread rule: ReadSpec is free of state; RunGradeJob blocks.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <absl/status/statusor.h>

#include "worker/benchmark/record.h"
#include "worker/grade/grade_events.h"
#include "worker/grade/grader.h"

namespace bitsweep::grade {

struct GradeJob {
  std::string benchmark;    // File.
  std::string completions;  // File; unused with `canonical`.
  std::string output;       // File, written whole or not at all.
  bool canonical = false;   // Grade the records' own solutions.
  std::optional<benchmark::Language>
      language;  // What the benchmark must be, where the spec says so.
  GraderOptions options;
};

/// Reads a stage spec of kind `grade` (proto/README.md); the output is verdicts.jsonl in its output
/// folder. INVALID_ARGUMENT, naming the member; NOT_FOUND: no file.
absl::StatusOr<GradeJob> ReadSpec(const std::string& path);

/// As ReadSpec, for text in memory.
absl::StatusOr<GradeJob> ParseSpec(std::string_view text, const std::string& origin);

/// Grades, writes the verdicts, sends progress and done events. The caller sends hello and, on an
/// error, failed.
absl::Status RunGradeJob(const GradeJob& job,
                         GradeEvents& events,
                         const Cancellation& cancellation);

}  // namespace bitsweep::grade
