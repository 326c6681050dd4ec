// What a run of the grader has judged, and what is left to judge once more: the book that its pool
// threads write to. Thread rule: any thread while the queue runs; the rest before and after.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "worker/grade/grader.h"
#include "worker/grade/limits.h"
#include "worker/grade/program_set.h"
#include "worker/grade/text.h"
#include "worker/grade/verdict.h"
#include "worker/grade/work_queue.h"

namespace bitsweep::grade {

class RunLedger {
 public:
  /// `queue` is emptied when the run fails.
  RunLedger(const ProgramSet& set, const Grader::Observer& observer, WorkQueue& queue);

  /// A program's outcome counts for all completions that make it. An uncertain one waits for its
  /// second run instead, and an error ends the run.
  void Finish(std::size_t index, absl::StatusOr<Outcome> outcome);
  /// Ends the run: nothing is scored.
  void Fail(const absl::Status& status);
  bool Healthy();
  void Log(const char* level, const std::string& message);

  /// An infrastructure failure is tried again once, and never scored.
  template <typename Attempt>
  absl::StatusOr<Outcome> Twice(const Attempt& attempt) {
    absl::StatusOr<Outcome> outcome = attempt();
    const auto ours = [&] {
      return absl::IsUnavailable(outcome.status()) || absl::IsResourceExhausted(outcome.status());
    };
    for (int i = 1; i < kInfrastructureAttempts && ours(); ++i) {
      Log("warning", Cat("trying again: ", std::string(outcome.status().message())));
      outcome = attempt();
    }
    return outcome;
  }

  /// From here on what finishes is a second run. Returns the programs that wait for one.
  std::vector<std::size_t> BeginSecondRuns();
  bool is_second_run() const { return alone_; }

  /// Adds to what the machine could not limit.
  void NotEnforced(const std::string& limit) { report_.limits_not_enforced.push_back(limit); }
  /// What was judged, or why the run failed.
  absl::StatusOr<GradeReport> Close();

 private:
  const ProgramSet& set_;
  const Grader::Observer& observer_;
  WorkQueue& queue_;
  std::mutex mutex_;  // Guards what follows while the queue runs.
  GradeReport report_;
  absl::Status failure_;
  std::int64_t done_ = 0;
  std::int64_t total_ = 0;
  bool alone_ = false;                  // Changed between runs of the queue only.
  std::vector<std::size_t> uncertain_;  // Programs that are to run again.
};

}  // namespace bitsweep::grade
