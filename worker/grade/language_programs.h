// How the programs of one language are run: what grader.cc asks of python_programs and
// java_programs. Thread rule: Prepare and Queue from one thread, RunAgain from the pool's.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include <absl/status/status.h>

#include "worker/grade/cgroup.h"
#include "worker/grade/grader.h"
#include "worker/grade/program_set.h"
#include "worker/grade/run_ledger.h"
#include "worker/grade/work_queue.h"

namespace bitsweep::grade {

/// What a run and its language share; all of it outlives the language's part.
struct RunParts {
  const GraderOptions& options;
  const Cancellation& cancellation;
  ProgramSet& set;
  RunLedger& ledger;
  WorkQueue& queue;
  // One for each thread of the pool, and for Java one more; null where there is none.
  const std::vector<std::unique_ptr<Cgroup>>& cgroups;

  const Cgroup* CgroupOf(int thread) const {
    return cgroups[static_cast<std::size_t>(thread)].get();
  }
};

class LanguagePrograms {
 public:
  virtual ~LanguagePrograms() = default;
  /// Decides for each record in use whether its tests can run apart from the program.
  virtual absl::Status Prepare() = 0;
  /// Puts all programs into the queue, now or while it runs.
  virtual void Queue() = 0;
  /// The queue has run, and with it all that added to it.
  virtual void Wait() {}
  /// A program whose end may have been the machine's doing, with nothing of ours beside it.
  virtual void RunAgain(std::size_t index, int thread) = 0;
};

}  // namespace bitsweep::grade
