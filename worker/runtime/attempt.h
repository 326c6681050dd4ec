// One attempt of a stage from its assignment to its end: inputs onto the disk, the child process,
// outputs to the coordinator. Blocking; one thread an attempt.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include "worker/agent/stage_runner.h"
#include "worker/runtime/child_run.h"
#include "worker/runtime/models.h"
#include "worker/runtime/transfers.h"

#include "proto/contract/session.h"

namespace bitsweep {

/// What every attempt on this machine shares. The references must outlive all attempts.
struct Workshop {
  Cache& cache;
  Models& models;
  Children& children;
  Transfers& transfers;
  std::string engine, grader;  // Absolute paths; empty when there is none.
  absl::Duration hang_after = kHangAfter;
  absl::Duration grace = kTerminationGrace;
};

class Attempt {
 public:
  /// `gpus`: the devices that the child may use; empty for none.
  Attempt(Workshop& workshop,
          Assignment assignment,
          std::vector<int> gpus,
          std::function<void(const StageProgress&)> on_progress,
          std::stop_token stop);

  StageEnd Run();

 private:
  /// A reason to end the attempt that is not a Status of some call.
  struct Failure {
    FailureClass failure;
    std::string message;
  };
  using Step = std::optional<Failure>;  // nullopt: go on.

  StageEnd RunLogged(StageLog& log);
  StageEnd Fail(const Failure& failure, const StageLog& log) const;
  Step PrepareFolder(const std::string& stage_folder);
  Step FetchInputs(StageLog& log);
  Step FetchInput(const StageInput& input, StageLog& log);
  absl::StatusOr<Cache::Hold> FetchBytes(const StageInput& input);
  Step FindModel(const StageInput& input, StageLog& log);
  Step CheckModel(const std::string& model,
                  const std::string& folder,
                  const std::string& expected,
                  StageLog& log);
  absl::StatusOr<std::string> InspectDigest(const std::string& folder, StageLog& log, Step& step);
  ChildOutcome RunTool(const nlohmann::json& spec, const std::string& spec_path, StageLog& log);
  Step Publish(ArtifactManifest& manifest);
  Failure FailureOf(const absl::Status& status, const std::string& doing) const;
  void Report(const std::string& phase,
              std::int64_t done,
              std::int64_t total,
              const std::string& unit) const;
  bool IsResumable() const;

  Workshop& workshop_;
  const Assignment assignment_;
  const std::vector<int> gpus_;
  const std::function<void(const StageProgress&)> on_progress_;
  const std::stop_token stop_;

  std::string output_folder_, scratch_folder_;
  std::map<std::string, std::string> paths_;  // JSON pointer -> where the input lies.
  std::vector<Cache::Hold> holds_;            // Inputs stay while the child reads them.
  std::string inspected_folder_;              // kInspect: the model folder and its state before.
  Models::Stamps inspected_before_;
};

}  // namespace bitsweep
