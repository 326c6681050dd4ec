// The outcome of one generated program as it is kept: one row of the verdict table. Plain values:
// any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace bitsweep {

/// One line of a grade stage's verdicts.jsonl (proto/README.md), less the captured streams, which
/// stay in the artifact. Rows belong to the grade stage, which sweeps may share. An
/// `infrastructure` outcome never becomes a row: its stage fails.
struct VerdictRow {
  std::string problem;  // The record's name.
  int sample = 0;       // From 0.
  std::string verdict;  // pass, wrong, exception, syntax_error, compile_error, timeout, ...
  bool passed = false;
  std::string study_verdict;  // By exit code alone, as the study graded: OK, Timeout, SyntaxError,
                              // Exception.
  bool study_passed = false;
  double cpu_seconds = 0, wall_seconds = 0;
  std::int64_t memory_bytes = 0;
  std::optional<int> exit_code;  // Absent when a signal ended the program.
  std::optional<int> signal;
  std::string isolation;  // The mode that was enforced.
  std::string witness;  // "strong" or "weak": whether the tests ran outside the program's process.
  friend bool operator==(const VerdictRow&, const VerdictRow&) = default;
};

}  // namespace bitsweep
