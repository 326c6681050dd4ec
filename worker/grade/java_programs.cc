#include "worker/grade/java_programs.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "worker/grade/limits.h"

#include "proto/base/status_macros.h"

namespace bitsweep::grade {
namespace {

// What a program's driver sends first (BitsweepHarness.java).
constexpr std::string_view kStarted = "S\n";
// For fewer programs a machine to share does not pay.
constexpr std::size_t kProgramsToShare = 3;

}  // namespace

JavaPrograms::JavaPrograms(const RunParts& parts, const Sandbox& sandbox, const JavaRunner& runner)
    : parts_(parts), sandbox_(sandbox), runner_(runner) {}

absl::Status JavaPrograms::Prepare() {
  const std::vector<Program>& programs = parts_.set.programs;
  const bool tuples = std::any_of(programs.begin(), programs.end(), [](const Program& program) {
    return program.text.find("org.javatuples") != std::string::npos;
  });
  if (runner_.javatuples().empty() && tuples) {
    // None of them would compile, and that would be scored as the model's failure.
    return absl::FailedPreconditionError(
        "programs import org.javatuples, and there is no javatuples.jar: install "
        "libjavatuples-java, give --javatuples JAR, or put version 1.2 at "
        "/usr/local/share/java/javatuples.jar");
  }
  BITSWEEP_RETURN_IF_ERROR(LookAtTests());
  if (parts_.options.share_machines && programs.size() >= kProgramsToShare) {
    shared_ = std::make_unique<SharedMachines>(
        sandbox_, runner_, parts_.options.limits, parts_.options.jobs);
  }
  return absl::OkStatus();
}

// By one process for the whole run.
absl::Status JavaPrograms::LookAtTests() {
  ProgramSet& set = parts_.set;
  if (!parts_.options.tests_apart) {
    set.KeepTestsTogether(kAsInTheStudy);
    return absl::OkStatus();
  }
  numbers_.resize(set.forms.size());
  std::vector<bool> seen(set.forms.size(), false);
  for (const Program& program : set.programs) {
    if (!seen[program.record_number]) {
      seen[program.record_number] = true;
      numbers_[program.record_number] = records_.size();
      records_.push_back(program.record);
    }
  }
  BITSWEEP_ASSIGN_OR_RETURN(const std::vector<TestForm> forms, StartTests());
  for (std::size_t i = 0; i < set.programs.size(); ++i) {
    set.FormOf(i) = forms[numbers_[set.programs[i].record_number]];
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<TestForm>> JavaPrograms::StartTests() {
  BITSWEEP_ASSIGN_OR_RETURN(tests_, JavaTests::Start(sandbox_, runner_));
  absl::StatusOr<std::vector<TestForm>> forms = tests_->Look(records_, parts_.cancellation);
  if (!forms.ok()) {
    tests_.reset();
  }
  return forms;
}

void JavaPrograms::Queue() {
  parts_.queue.Hold();
  compiler_ = std::thread([this] {
    CompileAll();
    parts_.queue.Release();
  });
}

void JavaPrograms::Wait() {
  compiler_.join();
}

void JavaPrograms::CompileAll() {
  const std::size_t count = parts_.set.programs.size();
  for (std::size_t begin = 0; begin < count && parts_.ledger.Healthy(); begin += kCompileChunkMax) {
    // Jars do not pile up.
    parts_.queue.WaitBelow(kCompileChunkMax / 2);
    Compile(begin, std::min<std::size_t>(begin + kCompileChunkMax, count));
  }
}

std::string JavaPrograms::SourceOf(std::size_t index) const {
  const Program& program = parts_.set.programs[index];
  const TestForm& form = std::as_const(parts_.set).FormOf(index);
  return form.apart ? std::string(program.WithoutTests()) + form.calls : program.text;
}

void JavaPrograms::Compile(std::size_t begin, std::size_t end) {
  std::vector<std::string> sources;
  for (std::size_t i = begin; i < end; ++i) {
    sources.push_back(SourceOf(i));
  }
  const std::vector<std::string_view> programs(sources.begin(), sources.end());
  const absl::Status status =
      runner_.Compile(programs,
                      parts_.options.limits,
                      parts_.cgroups.back().get(),
                      parts_.cancellation,
                      [&](std::size_t offset, Compiled answer) {
                        const std::size_t index = begin + offset;
                        if (!answer.compiled) {
                          answer.outcome.weak_reason = parts_.set.FormOf(index).reason;
                          parts_.ledger.Finish(index, std::move(answer.outcome));
                          return;
                        }
                        const auto jar = std::make_shared<const std::string>(std::move(answer.jar));
                        parts_.queue.Add([this, index, jar](int at) { Run(index, jar, at); });
                      });
  if (!status.ok()) {
    parts_.ledger.Fail(status);
  }
}

void JavaPrograms::RunAgain(std::size_t index, int thread) {
  Run(index, uncertain_.at(index), thread);
}

void JavaPrograms::Run(std::size_t index, const Jar& jar, int thread) {
  absl::StatusOr<Outcome> outcome =
      parts_.ledger.Twice([&] { return RunOnce(index, *jar, thread); });
  if (outcome.ok() && outcome->uncertain && !parts_.ledger.is_second_run()) {
    const std::lock_guard lock(uncertain_mutex_);
    uncertain_[index] = jar;
  }
  parts_.ledger.Finish(index, std::move(outcome));
}

absl::StatusOr<Outcome> JavaPrograms::RunOnce(std::size_t index,
                                              const std::string& jar,
                                              int thread) {
  const TestForm& form = std::as_const(parts_.set).FormOf(index);
  if (form.apart) {
    if (shared_ && !parts_.ledger.is_second_run()) {
      BITSWEEP_ASSIGN_OR_RETURN(const std::optional<JobResult> shared,
                                shared_->Run(jar, parts_.cancellation));
      if (shared) {
        // A right answer counts: what is expected is in another process. Any other may be what an
        // earlier program left behind, such as a locale that the JDK gave up in a stack overflow.
        absl::StatusOr<Outcome> outcome = JudgeCalls(index, *shared);
        if (!outcome.ok() || outcome->verdict == Verdict::kPass) {
          return outcome;
        }
      }
    }
    BITSWEEP_ASSIGN_OR_RETURN(
        const JobResult result,
        runner_.RunCalls(jar, parts_.options.limits, parts_.CgroupOf(thread), parts_.cancellation));
    return JudgeCalls(index, result);
  }
  BITSWEEP_ASSIGN_OR_RETURN(
      Outcome outcome,
      runner_.Run(jar, parts_.options.limits, parts_.CgroupOf(thread), parts_.cancellation));
  outcome.weak_reason = form.reason;
  return outcome;
}

absl::StatusOr<Outcome> JavaPrograms::JudgeCalls(std::size_t index, const JobResult& result) {
  std::string_view report = result.child.report;
  report.remove_prefix(std::min(report.size(), kStarted.size()));
  const std::lock_guard lock(tests_mutex_);
  for (int attempt = 1;; ++attempt) {
    if (!tests_) {
      BITSWEEP_RETURN_IF_ERROR(StartTests().status());
    }
    const absl::StatusOr<TestAnswer> answer =
        tests_->Judge(numbers_[parts_.set.programs[index].record_number],
                      report,
                      parts_.options.limits.wall,
                      parts_.cancellation);
    if (answer.ok()) {
      return JudgeApart(result, *answer, false);
    }
    const bool busy = absl::IsDeadlineExceeded(answer.status());
    const bool outside = tests_->KilledFromOutside();
    tests_.reset();
    if (busy) {
      return BlamedOutcome(true, answer.status());
    }
    if (!absl::IsUnavailable(answer.status()) || (outside && attempt >= kInfrastructureAttempts)) {
      return answer.status();
    }
    if (attempt >= kInfrastructureAttempts) {
      // The tests run with right programs, so that what this one returned is to blame.
      return BlamedOutcome(false, answer.status());
    }
  }
}

}  // namespace bitsweep::grade
