#include "worker/grade/python_programs.h"

#include <string>
#include <string_view>
#include <utility>

#include "worker/grade/text.h"

#include "proto/base/status_macros.h"

namespace bitsweep::grade {

PythonPrograms::PythonPrograms(const RunParts& parts, const PythonRunner& runner)
    : parts_(parts),
      runner_(runner),
      tests_(static_cast<std::size_t>(parts.options.jobs)),
      zygotes_(static_cast<std::size_t>(parts.options.jobs)) {}

absl::Status PythonPrograms::Prepare() {
  if (!parts_.options.tests_apart) {
    parts_.set.KeepTestsTogether(kAsInTheStudy);
    return absl::OkStatus();
  }
  for (std::size_t i = 0; i < parts_.set.programs.size(); ++i) {
    TestForm& form = parts_.set.FormOf(i);
    if (!form.reason.empty() || form.apart) {
      continue;
    }
    if (!tests_[0]) {
      BITSWEEP_ASSIGN_OR_RETURN(tests_[0], runner_.StartTests());
    }
    BITSWEEP_ASSIGN_OR_RETURN(form,
                              tests_[0]->Look(*parts_.set.programs[i].record, parts_.cancellation));
  }
  return absl::OkStatus();
}

void PythonPrograms::Queue() {
  for (std::size_t i = 0; i < parts_.set.programs.size(); ++i) {
    parts_.queue.Add([this, i](int thread) { Run(i, thread); });
  }
}

PythonZygote* PythonPrograms::ZygoteOf(int thread) {
  std::unique_ptr<PythonZygote>& zygote = zygotes_[static_cast<std::size_t>(thread)];
  if (!zygote && !zygotes_refused_) {
    absl::StatusOr<std::unique_ptr<PythonZygote>> started =
        runner_.StartZygote(parts_.options.limits, parts_.CgroupOf(thread));
    if (started.ok()) {
      zygote = *std::move(started);
    } else if (!parts_.cancellation.cancelled()) {
      zygotes_refused_ = true;
      parts_.ledger.Log(
          "info",
          Cat("each program starts an interpreter: ", std::string(started.status().message())));
    }
  }
  return zygote.get();
}

void PythonPrograms::Run(std::size_t index, int thread) {
  const TestForm& form = std::as_const(parts_.set).FormOf(index);
  if (form.apart) {
    parts_.ledger.Finish(index, parts_.ledger.Twice([&] { return RunApart(index, thread); }));
    return;
  }
  absl::StatusOr<Outcome> outcome = parts_.ledger.Twice([&] {
    absl::StatusOr<Outcome> once = runner_.Run(parts_.set.programs[index].text,
                                               ZygoteOf(thread),
                                               parts_.options.limits,
                                               parts_.CgroupOf(thread),
                                               parts_.cancellation);
    if (!once.ok()) {
      zygotes_[static_cast<std::size_t>(thread)].reset();
    }
    return once;
  });
  if (outcome.ok()) {
    outcome->weak_reason = form.reason;
  }
  parts_.ledger.Finish(index, std::move(outcome));
}

absl::StatusOr<Outcome> PythonPrograms::RunApart(std::size_t index, int thread) {
  std::unique_ptr<TestRunner>& tests = tests_[static_cast<std::size_t>(thread)];
  const Program& program = parts_.set.programs[index];
  for (int attempt = 1;; ++attempt) {
    if (!tests) {
      BITSWEEP_ASSIGN_OR_RETURN(tests, runner_.StartTests());
    }
    absl::StatusOr<Outcome> outcome = runner_.RunApart(program.WithoutTests(),
                                                       *program.record,
                                                       *tests,
                                                       ZygoteOf(thread),
                                                       parts_.options.limits,
                                                       parts_.CgroupOf(thread),
                                                       parts_.cancellation);
    if (outcome.ok()) {
      return outcome;
    }
    tests.reset();
    zygotes_[static_cast<std::size_t>(thread)].reset();
    // The tests run with right programs, so that what this one returned is to blame.
    const bool busy = absl::IsDeadlineExceeded(outcome.status());
    if (!busy && (!absl::IsAborted(outcome.status()) || attempt < kInfrastructureAttempts)) {
      if (absl::IsAborted(outcome.status())) {
        continue;
      }
      return outcome;
    }
    return BlamedOutcome(busy, outcome.status());
  }
}

}  // namespace bitsweep::grade
