#include "worker/grade/run_ledger.h"

#include <algorithm>
#include <utility>

#include "proto/base/status_macros.h"

namespace bitsweep::grade {

RunLedger::RunLedger(const ProgramSet& set, const Grader::Observer& observer, WorkQueue& queue)
    : set_(set), observer_(observer), queue_(queue) {
  report_.outcome_of = set.program_of;
  report_.outcomes.resize(set.programs.size());
  total_ = static_cast<std::int64_t>(set.program_of.size());
}

void RunLedger::Finish(std::size_t index, absl::StatusOr<Outcome> outcome) {
  if (!outcome.ok()) {
    Fail(outcome.status());
    return;
  }
  const std::lock_guard lock(mutex_);
  const std::int64_t uses = set_.programs[index].uses;
  if (outcome->uncertain && !alone_) {
    report_.cpu += outcome->cpu;
    report_.outcomes[index] = *std::move(outcome);
    uncertain_.push_back(index);
    return;
  }
  if (alone_) {
    outcome->rerun = true;
    outcome->flaky = outcome->verdict != report_.outcomes[index].verdict;
    report_.reruns += uses;
    report_.flaky += outcome->flaky ? uses : 0;
  }
  report_.by_verdict.at(static_cast<std::size_t>(outcome->verdict)) += uses;
  report_.passed += outcome->verdict == Verdict::kPass ? uses : 0;
  report_.study_passed += outcome->study == StudyVerdict::kOk ? uses : 0;
  report_.cpu += outcome->cpu;
  report_.weak_witnesses += outcome->weak_reason.empty() ? 0 : uses;
  report_.peak_memory_bytes = std::max(report_.peak_memory_bytes, outcome->memory_bytes);
  report_.outcomes[index] = *std::move(outcome);
  done_ += uses;
  if (observer_.on_progress && failure_.ok()) {
    observer_.on_progress(done_, total_, report_.passed);
  }
}

void RunLedger::Fail(const absl::Status& status) {
  const std::lock_guard lock(mutex_);
  failure_.Update(status);
  queue_.Clear();
}

bool RunLedger::Healthy() {
  const std::lock_guard lock(mutex_);
  return failure_.ok();
}

void RunLedger::Log(const char* level, const std::string& message) {
  if (observer_.on_log) {
    const std::lock_guard lock(mutex_);
    observer_.on_log(level, message);
  }
}

std::vector<std::size_t> RunLedger::BeginSecondRuns() {
  alone_ = true;
  return uncertain_;
}

absl::StatusOr<GradeReport> RunLedger::Close() {
  BITSWEEP_RETURN_IF_ERROR(failure_);
  return std::move(report_);
}

}  // namespace bitsweep::grade
