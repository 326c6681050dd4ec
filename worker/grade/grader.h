// Grades the completions of one benchmark: cut, assemble, run every distinct program once, judge.
//
//   completions -> cut -> programs -> distinct -> [Java: compile server] -> pool of sandboxes ->
//   outcomes -> the uncertain ones once more, alone
//
// Thread rule: Grade blocks; it may be called once at a time for a Grader. The observer is called
// from pool threads, one call at a time.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <absl/status/statusor.h>

#include "worker/benchmark/program.h"
#include "worker/grade/completions.h"
#include "worker/grade/runner_java.h"
#include "worker/grade/runner_python.h"
#include "worker/grade/sandbox.h"
#include "worker/grade/verdict.h"

namespace bitsweep::grade {

struct GraderOptions {
  Isolation isolation = Isolation::kBubblewrap;
  benchmark::PostProcessing post_processing = benchmark::PostProcessing::kStudy;
  Limits limits;
  int jobs = 1;
  // Tests run apart from the program, where they can. False (the study's way): in its process.
  bool tests_apart = true;
  // Java programs that are known to be harmless to each other share virtual machines.
  bool share_machines = true;
  std::string search_path;  // As $PATH.
  std::string python;       // Empty: found.
  std::string java;
  std::string javatuples;
};

/// Every completion's outcome, and the figures of the run.
struct GradeReport {
  std::vector<Outcome> outcomes;        // One for each distinct program.
  std::vector<std::size_t> outcome_of;  // For each completion the index of its outcome.
  std::array<std::int64_t, kVerdictCount> by_verdict{};  // Completions by verdict.
  std::int64_t passed = 0;
  std::int64_t study_passed = 0;
  std::int64_t weak_witnesses = 0;  // Completions whose tests ran in the program's process.
  std::int64_t reruns = 0;          // Completions that were run again alone (Outcome::rerun).
  std::int64_t flaky = 0;           // Of these, the ones that got another verdict.
  absl::Duration wall;
  absl::Duration cpu;  // Of all programs and compilers.
  std::int64_t peak_memory_bytes = 0;
  std::vector<std::string>
      limits_not_enforced;  // "processes", "memory": what this machine could not limit.
};

class Grader {
 public:
  struct Observer {
    /// `done` of `total` completions are judged, `passed` of them pass.
    std::function<void(std::int64_t done, std::int64_t total, std::int64_t passed)> on_progress;
    std::function<void(const std::string& level, const std::string& message)> on_log;
  };

  /// Opens the sandbox and the runner for `language`. FAILED_PRECONDITION: the machine lacks one
  /// (class sandbox).
  static absl::StatusOr<std::unique_ptr<Grader>> Open(const GraderOptions& options,
                                                      benchmark::Language language);

  /// Grades everything. UNAVAILABLE: the sandbox failed twice on a program (class sandbox), or
  /// RESOURCE_EXHAUSTED: the disk was full twice; nothing is scored. CANCELLED: `cancellation`
  /// came; no process is left.
  absl::StatusOr<GradeReport> Grade(const std::vector<benchmark::Record>& records,
                                    const std::vector<Completion>& completions,
                                    const Observer& observer,
                                    const Cancellation& cancellation);

  const Sandbox& sandbox() const { return *sandbox_; }

 private:
  explicit Grader(const GraderOptions& options) : options_(options) {}

  const GraderOptions options_;
  std::unique_ptr<Sandbox> sandbox_;
  std::unique_ptr<PythonRunner> python_;
  std::unique_ptr<JavaRunner> java_;
};

}  // namespace bitsweep::grade
