#include "worker/grade/grader.h"

#include <algorithm>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "worker/grade/text.h"
#include "worker/grade/work_queue.h"

#include "proto/base/status_macros.h"

namespace bitsweep::grade {
namespace {

using benchmark::Language;
using benchmark::Record;

/// One run of Grade: what its pool threads share.
class GradeRun {
 public:
  GradeRun(const GraderOptions& options,
           const PythonRunner* python,
           const JavaRunner* java,
           const Grader::Observer& observer,
           const Cancellation& cancellation)
      : options_(options),
        python_(python),
        java_(java),
        observer_(observer),
        cancellation_(cancellation) {}

  absl::StatusOr<GradeReport> Run(const std::vector<Record>& records,
                                  const std::vector<Completion>& completions) {
    const absl::Time started = absl::Now();
    BITSWEEP_RETURN_IF_ERROR(Assemble(records, completions));
    OpenCgroups();
    tests_.resize(static_cast<std::size_t>(options_.jobs));
    if (python_ != nullptr) {
      BITSWEEP_RETURN_IF_ERROR(LookAtTests());
      for (std::size_t i = 0; i < programs_.size(); ++i) {
        queue_.Add([this, i](int thread) { RunPython(i, thread); });
      }
    } else {
      AddCompilations();
    }
    queue_.Run(options_.jobs);
    BITSWEEP_RETURN_IF_ERROR(failure_);
    report_.wall = absl::Now() - started;
    return std::move(report_);
  }

 private:
  absl::Status Assemble(const std::vector<Record>& records,
                        const std::vector<Completion>& completions) {
    forms_.resize(records.size());
    std::unordered_map<std::string, std::size_t> known;
    for (const Completion& completion : completions) {
      const Record& record = records[completion.record];
      std::string program = benchmark::AssembleProgram(
          record, benchmark::CutCompletion(record, completion.text, options_.post_processing));
      if (static_cast<std::int64_t>(program.size()) > kProgramBytesMax) {
        return absl::InvalidArgumentError(Cat("the program of \"",
                                              record.name,
                                              "\" has ",
                                              program.size(),
                                              " bytes, allowed are ",
                                              kProgramBytesMax));
      }
      // The same text, and the tests begin at the same place.
      const auto [at, fresh] =
          known.emplace(Cat(record.tests.size(), ":", program), programs_.size());
      if (fresh) {
        programs_.push_back(std::move(program));
        records_.push_back(&record);
        forms_of_.push_back(&forms_[completion.record]);
        uses_.push_back(0);
      }
      ++uses_[at->second];
      report_.outcome_of.push_back(at->second);
    }
    report_.outcomes.resize(programs_.size());
    total_ = static_cast<std::int64_t>(completions.size());
    const bool tuples =
        std::any_of(programs_.begin(), programs_.end(), [](const std::string& program) {
          return program.find("org.javatuples") != std::string::npos;
        });
    if (java_ != nullptr && java_->javatuples().empty() && tuples) {
      // None of them would compile, and that would be scored as the model's failure.
      return absl::FailedPreconditionError(
          "programs import org.javatuples, and there is no javatuples.jar: install "
          "libjavatuples-java, give --javatuples JAR, or put version 1.2 at "
          "/usr/local/share/java/javatuples.jar");
    }
    return absl::OkStatus();
  }

  void OpenCgroups() {
    for (int i = 0; i < options_.jobs; ++i) {
      Limits limits = options_.limits;
      limits.processes =
          java_ != nullptr ? std::max<std::int64_t>(limits.processes, 256) : limits.processes;
      cgroups_.push_back(Cgroup::Open(limits));
    }
    const Cgroup* first = cgroups_.front().get();
    if (first == nullptr || !first->limits_memory()) {
      report_.limits_not_enforced.emplace_back(
          "memory of the process tree (no writable memory control group)");
    }
    if (first == nullptr || !first->limits_processes()) {
      report_.limits_not_enforced.emplace_back("processes by control group (RLIMIT_NPROC is used)");
    }
  }

  const Cgroup* CgroupOf(int thread) const {
    return cgroups_[static_cast<std::size_t>(thread)].get();
  }

  /// Programs go to compile servers in chunks; each class runs as soon as it is compiled.
  void AddCompilations() {
    const std::size_t servers =
        std::max<std::size_t>((programs_.size() + kCompileChunkMax - 1) / kCompileChunkMax, 1);
    const std::size_t chunk = (programs_.size() + servers - 1) / servers;
    for (std::size_t begin = 0; begin < programs_.size(); begin += chunk) {
      const std::size_t end = std::min(begin + chunk, programs_.size());
      queue_.Add([this, begin, end](int thread) { CompileJava(begin, end, thread); });
    }
  }

  /// Decides for each record in use whether its tests can run apart from the program.
  absl::Status LookAtTests() {
    for (std::size_t i = 0; i < programs_.size(); ++i) {
      TestForm& form = *forms_of_[i];
      if (!form.reason.empty() || form.apart) {
        continue;
      }
      if (!options_.tests_apart) {
        form.reason = "asked for: grading as in the study";
        continue;
      }
      if (!tests_[0]) {
        BITSWEEP_ASSIGN_OR_RETURN(tests_[0], python_->StartTests());
      }
      BITSWEEP_ASSIGN_OR_RETURN(form, tests_[0]->Look(*records_[i], cancellation_));
    }
    return absl::OkStatus();
  }

  void RunPython(std::size_t index, int thread) {
    if (forms_of_[index]->apart) {
      Finish(index, Twice([&] { return RunApart(index, thread); }));
      return;
    }
    absl::StatusOr<Outcome> outcome = Twice([&] {
      return python_->Run(programs_[index], options_.limits, CgroupOf(thread), cancellation_);
    });
    if (outcome.ok()) {
      outcome->weak_reason = forms_of_[index]->reason;
    }
    Finish(index, std::move(outcome));
  }

  absl::StatusOr<Outcome> RunApart(std::size_t index, int thread) {
    std::unique_ptr<TestRunner>& tests = tests_[static_cast<std::size_t>(thread)];
    const Record& record = *records_[index];
    // A program is prompt + completion + "\n" + tests.
    const std::string_view program =
        std::string_view(programs_[index])
            .substr(0, programs_[index].size() - record.tests.size());
    for (int attempt = 1;; ++attempt) {
      if (!tests) {
        BITSWEEP_ASSIGN_OR_RETURN(tests, python_->StartTests());
      }
      absl::StatusOr<Outcome> outcome = python_->RunApart(
          program, record, *tests, options_.limits, CgroupOf(thread), cancellation_);
      if (outcome.ok()) {
        return outcome;
      }
      tests.reset();
      // The tests run with right programs, so that what this one returned is to blame.
      const bool busy = absl::IsDeadlineExceeded(outcome.status());
      if (!busy && (!absl::IsAborted(outcome.status()) || attempt < kInfrastructureAttempts)) {
        if (absl::IsAborted(outcome.status())) {
          continue;
        }
        return outcome;
      }
      Outcome blamed;
      blamed.verdict = busy ? Verdict::kTimeout : Verdict::kForbidden;
      blamed.study = busy ? StudyVerdict::kTimeout : StudyVerdict::kException;
      blamed.weak_reason.clear();
      blamed.error = std::string(outcome.status().message());
      return blamed;
    }
  }

  void CompileJava(std::size_t begin, std::size_t end, int thread) {
    const std::vector<std::string_view> programs(
        programs_.begin() + static_cast<std::ptrdiff_t>(begin),
        programs_.begin() + static_cast<std::ptrdiff_t>(end));
    const absl::Status status = java_->Compile(
        programs,
        options_.limits,
        CgroupOf(thread),
        cancellation_,
        [&](std::size_t offset, Compiled answer) {
          const std::size_t index = begin + offset;
          if (!answer.compiled) {
            Finish(index, std::move(answer.outcome));
            return;
          }
          // Urgent, so that jars do not pile up while further chunks are compiled.
          queue_.Add(
              [this, index, jar = std::move(answer.jar)](int at) { RunJava(index, jar, at); },
              true);
        });
    if (!status.ok()) {
      Fail(status);
    }
  }

  void RunJava(std::size_t index, const std::string& jar, int thread) {
    Finish(index, Twice([&] {
             return java_->Run(jar, options_.limits, CgroupOf(thread), cancellation_);
           }));
  }

  /// An infrastructure failure is tried again once, and never scored.
  template <typename Attempt>
  absl::StatusOr<Outcome> Twice(const Attempt& attempt) {
    absl::StatusOr<Outcome> outcome = attempt();
    for (int i = 1; i < kInfrastructureAttempts && absl::IsUnavailable(outcome.status()); ++i) {
      if (observer_.on_log) {
        const std::lock_guard lock(mutex_);
        observer_.on_log("warning", Cat("trying again: ", std::string(outcome.status().message())));
      }
      outcome = attempt();
    }
    return outcome;
  }

  void Finish(std::size_t index, absl::StatusOr<Outcome> outcome) {
    if (!outcome.ok()) {
      Fail(outcome.status());
      return;
    }
    const std::lock_guard lock(mutex_);
    const std::int64_t uses = uses_[index];
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

  void Fail(const absl::Status& status) {
    const std::lock_guard lock(mutex_);
    failure_.Update(status);
    queue_.Clear();
  }

  const GraderOptions& options_;
  const PythonRunner* python_;
  const JavaRunner* java_;
  const Grader::Observer& observer_;
  const Cancellation& cancellation_;
  WorkQueue queue_;
  std::vector<std::unique_ptr<Cgroup>> cgroups_;  // One for each thread; null where there is none.
  std::vector<std::unique_ptr<TestRunner>> tests_;  // One for each thread, started when needed.
  std::vector<TestForm> forms_;                   // Of each record in use.
  std::vector<std::string> programs_;             // Distinct.
  std::vector<const Record*> records_;            // Of each program.
  std::vector<TestForm*> forms_of_;               // The same.
  std::vector<std::int64_t> uses_;                // Completions that make each program.
  std::int64_t total_ = 0;

  std::mutex mutex_;  // Guards what follows while the queue runs.
  GradeReport report_;
  absl::Status failure_;
  std::int64_t done_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Grader>> Grader::Open(const GraderOptions& options,
                                                     Language language) {
  std::unique_ptr<Grader> grader(new Grader(options));
  BITSWEEP_ASSIGN_OR_RETURN(grader->sandbox_,
                            Sandbox::Open(options.isolation, options.search_path));
  if (language == Language::kPython) {
    BITSWEEP_ASSIGN_OR_RETURN(
        grader->python_,
        PythonRunner::Open(*grader->sandbox_, options.python, options.search_path));
  } else {
    const JavaRunner::Options java{
        .java = options.java, .javatuples = options.javatuples, .search_path = options.search_path};
    BITSWEEP_ASSIGN_OR_RETURN(grader->java_, JavaRunner::Open(*grader->sandbox_, java));
  }
  return grader;
}

absl::StatusOr<GradeReport> Grader::Grade(const std::vector<Record>& records,
                                          const std::vector<Completion>& completions,
                                          const Observer& observer,
                                          const Cancellation& cancellation) {
  return GradeRun(options_, python_.get(), java_.get(), observer, cancellation)
      .Run(records, completions);
}

}  // namespace bitsweep::grade
