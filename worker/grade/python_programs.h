// Python programs of a run: each in a process of its own, tests apart where they can be. Thread
// rule: language_programs.h.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "worker/grade/language_programs.h"
#include "worker/grade/python_zygote.h"
#include "worker/grade/runner_python.h"
#include "worker/grade/test_runner.h"

namespace bitsweep::grade {

class PythonPrograms : public LanguagePrograms {
 public:
  PythonPrograms(const RunParts& parts, const PythonRunner& runner);
  absl::Status Prepare() override;
  void Queue() override;
  void RunAgain(std::size_t index, int thread) override { Run(index, thread); }

 private:
  void Run(std::size_t index, int thread);
  absl::StatusOr<Outcome> RunApart(std::size_t index, int thread);
  // The thread's warm interpreter, started when there is none; null where this machine does
  // without.
  PythonZygote* ZygoteOf(int thread);

  const RunParts parts_;
  const PythonRunner& runner_;
  std::vector<std::unique_ptr<TestRunner>> tests_;      // One for each thread, started when needed.
  std::vector<std::unique_ptr<PythonZygote>> zygotes_;  // The same.
  std::atomic<bool> zygotes_refused_ = false;
};

}  // namespace bitsweep::grade
