#include "worker/grade/grader.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "worker/grade/cgroup.h"
#include "worker/grade/java_programs.h"
#include "worker/grade/language_programs.h"
#include "worker/grade/program_set.h"
#include "worker/grade/python_programs.h"
#include "worker/grade/run_ledger.h"
#include "worker/grade/work_queue.h"

#include "proto/base/status_macros.h"

namespace bitsweep::grade {
namespace {

using benchmark::Language;

// One for each thread of the pool, and for Java one for the compile server.
std::vector<std::unique_ptr<Cgroup>> OpenCgroups(const GraderOptions& options,
                                                 bool is_java,
                                                 RunLedger& ledger) {
  std::vector<std::unique_ptr<Cgroup>> cgroups;
  for (int i = 0; i < options.jobs + (is_java ? 1 : 0); ++i) {
    Limits limits = options.limits;
    limits.processes = is_java ? std::max<std::int64_t>(limits.processes, 256)
                               : limits.processes + PythonZygote::kProcessesOfOurs;
    cgroups.push_back(Cgroup::Open(limits));
  }
  const Cgroup* first = cgroups.front().get();
  if (first == nullptr || !first->limits_memory()) {
    ledger.NotEnforced("memory of the process tree (no writable memory control group)");
  }
  if (first == nullptr || !first->limits_processes()) {
    ledger.NotEnforced("processes by control group (RLIMIT_NPROC is used)");
  }
  return cgroups;
}

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

absl::StatusOr<GradeReport> Grader::Grade(const std::vector<benchmark::Record>& records,
                                          const std::vector<Completion>& completions,
                                          const Observer& observer,
                                          const Cancellation& cancellation) {
  const absl::Time started = absl::Now();
  BITSWEEP_ASSIGN_OR_RETURN(ProgramSet set,
                            AssemblePrograms(records, completions, options_.post_processing));
  WorkQueue queue;
  RunLedger ledger(set, observer, queue);
  const std::vector<std::unique_ptr<Cgroup>> cgroups =
      OpenCgroups(options_, java_ != nullptr, ledger);
  const RunParts parts = {options_, cancellation, set, ledger, queue, cgroups};
  std::unique_ptr<LanguagePrograms> programs;
  if (python_ != nullptr) {
    programs = std::make_unique<PythonPrograms>(parts, *python_);
  } else {
    programs = std::make_unique<JavaPrograms>(parts, *sandbox_, *java_);
  }
  BITSWEEP_RETURN_IF_ERROR(programs->Prepare());
  programs->Queue();
  queue.Run(options_.jobs);
  programs->Wait();
  if (ledger.Healthy()) {
    // Programs whose end may have been the machine's doing: each again, with nothing of ours
    // beside.
    for (const std::size_t index : ledger.BeginSecondRuns()) {
      queue.Add([&programs, index](int thread) { programs->RunAgain(index, thread); });
    }
    queue.Run(1);
  }
  BITSWEEP_ASSIGN_OR_RETURN(GradeReport report, ledger.Close());
  report.wall = absl::Now() - started;
  return report;
}

}  // namespace bitsweep::grade
