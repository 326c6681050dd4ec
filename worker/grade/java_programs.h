// Java programs of a run: compiled by one server that is a little ahead of the pool, run in a
// machine of their own or, where they are known to be harmless, in a shared one; tests apart where
// they can be. Thread rule: language_programs.h.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "worker/grade/java_tests.h"
#include "worker/grade/language_programs.h"
#include "worker/grade/runner_java.h"
#include "worker/grade/shared_machines.h"

namespace bitsweep::grade {

class JavaPrograms : public LanguagePrograms {
 public:
  JavaPrograms(const RunParts& parts, const Sandbox& sandbox, const JavaRunner& runner);
  /// FAILED_PRECONDITION: programs want javatuples, and there is none.
  absl::Status Prepare() override;
  void Queue() override;
  void Wait() override;
  void RunAgain(std::size_t index, int thread) override;

 private:
  using Jar = std::shared_ptr<const std::string>;  // Shared with a later second run.

  absl::Status LookAtTests();
  absl::StatusOr<std::vector<TestForm>> StartTests();
  // On a thread of its own, so that the server is always a little ahead of the pool. Programs go to
  // it in chunks; each class runs as soon as it is compiled.
  void CompileAll();
  void Compile(std::size_t begin, std::size_t end);
  // What is compiled: the program, with calls alone in the place of tests that run apart.
  std::string SourceOf(std::size_t index) const;
  void Run(std::size_t index, const Jar& jar, int thread);
  absl::StatusOr<Outcome> RunOnce(std::size_t index, const std::string& jar, int thread);
  absl::StatusOr<Outcome> JudgeCalls(std::size_t index, const JobResult& result);

  const RunParts parts_;
  const Sandbox& sandbox_;
  const JavaRunner& runner_;
  std::thread compiler_;
  std::unique_ptr<SharedMachines> shared_;
  std::vector<const benchmark::Record*> records_;  // In use, in the order of JavaTests.
  std::vector<std::size_t> numbers_;               // Of each record in use, its place there.
  std::mutex tests_mutex_;
  std::unique_ptr<JavaTests> tests_;  // Guarded by tests_mutex_ while the queue runs.
  std::mutex uncertain_mutex_;
  std::map<std::size_t, Jar> uncertain_;  // Guarded by uncertain_mutex_ while the queue runs.
};

}  // namespace bitsweep::grade
