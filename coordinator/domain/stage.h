// A stage as the coordinator holds it: its definition, its state with what exists only in that
// state, and its place in the graph. Stage::Apply is the only writer of state. Runs on: core
// strand.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <absl/status/status.h>
#include <absl/time/time.h>

#include "coordinator/domain/lifecycle.h"
#include "coordinator/domain/retry.h"

#include "proto/base/ids.h"
#include "proto/contract/session.h"
#include "proto/contract/stage.h"

namespace bitsweep {

struct Sweep;

/// What a running attempt last said about itself. In memory only: a restarted coordinator learns it
/// again.
struct Progress {
  std::string phase, unit;
  std::int64_t done = 0, total = 0;
};

/// Who has the attempt. `confirmed` is when the worker last showed that it holds it.
struct Holding {
  LeaseId lease;
  WorkerId worker;
  std::string worker_name;  // Outlives the registration: history and failures name it.
  absl::Time leased_at;
  absl::Time confirmed;
  /// After a restart of the coordinator: until then the worker may come back with the attempt.
  std::optional<absl::Time> reattach_by;
};

/// The events of kStageEdges with what each brings.
namespace on {
struct InputsReady {
  static constexpr StageEvent kEvent = StageEvent::kInputsReady;
};
struct InputsLost {
  static constexpr StageEvent kEvent = StageEvent::kInputsLost;
};
struct UpstreamFailed {
  static constexpr StageEvent kEvent = StageEvent::kUpstreamFailed;
};
struct UpstreamRetried {
  static constexpr StageEvent kEvent = StageEvent::kUpstreamRetried;
};
struct Assign {
  static constexpr StageEvent kEvent = StageEvent::kAssign;
  Holding holding;
};
struct Start {
  static constexpr StageEvent kEvent = StageEvent::kStart;
  absl::Time at;
};
struct LoseWorker {
  static constexpr StageEvent kEvent = StageEvent::kLoseWorker;
};
struct Succeed {
  static constexpr StageEvent kEvent = StageEvent::kSucceed;
  std::shared_ptr<const ArtifactManifest> artifact;
};
struct Fail {
  static constexpr StageEvent kEvent = StageEvent::kFail;
  FailureClass failure = FailureClass::kBug;
  std::string message;
  absl::Time at;
  std::optional<absl::Time> retry_at;  // Absent: failed for good.
};
struct Retry {
  static constexpr StageEvent kEvent = StageEvent::kRetry;
  bool forgive = false;  // Asked for by a person or a new sweep: earlier failures no longer count.
};
struct Invalidate {
  static constexpr StageEvent kEvent = StageEvent::kInvalidate;
};
struct Cancel {
  static constexpr StageEvent kEvent = StageEvent::kCancel;
};
struct Request {
  static constexpr StageEvent kEvent = StageEvent::kRequest;
};
}  // namespace on
using StageTransition = std::variant<on::InputsReady,
                                     on::InputsLost,
                                     on::UpstreamFailed,
                                     on::UpstreamRetried,
                                     on::Assign,
                                     on::Start,
                                     on::LoseWorker,
                                     on::Succeed,
                                     on::Fail,
                                     on::Retry,
                                     on::Invalidate,
                                     on::Cancel,
                                     on::Request>;

/// What exists only in one state.
namespace in {
struct Waiting {};
struct Blocked {};
struct Ready {};
struct Leased {
  Holding holding;
};
struct Running {
  Holding holding;
  absl::Time started;
  Progress progress;
};
struct Succeeded {
  std::shared_ptr<const ArtifactManifest> artifact;
  LeaseId lease;  // Of the attempt that succeeded: its repeated result is acknowledged again, not
                  // refused.
};
struct Failed {
  FailureClass failure = FailureClass::kBug;
  std::string message;
  absl::Time at;
  LeaseId lease;  // Of the failed attempt, as in Succeeded.
  std::optional<absl::Time> retry_at;
};
struct Cancelled {};
}  // namespace in
/// In the order of StageState, so that the index is the state.
using StagePayload = std::variant<in::Waiting,
                                  in::Blocked,
                                  in::Ready,
                                  in::Leased,
                                  in::Running,
                                  in::Succeeded,
                                  in::Failed,
                                  in::Cancelled>;

/// A cell's place: which sweep, which of its cells.
struct CellRef {
  Sweep* sweep;
  std::int32_t cell;
};

class Stage {
 public:
  /// A waiting stage that nothing refers to yet. `serial` orders stages by age.
  Stage(std::shared_ptr<const StageDefinition> definition, std::int64_t serial);
  /// A stage as the store kept it.
  Stage(std::shared_ptr<const StageDefinition> definition,
        std::int64_t serial,
        StagePayload payload,
        int attempt,
        int forgiven,
        FailureCounts failures);

  const StageDefinition& definition() const { return *definition_; }
  const std::shared_ptr<const StageDefinition>& shared_definition() const { return definition_; }
  const StageKey& key() const { return definition_->key; }
  StageKind kind() const { return definition_->kind; }
  std::int64_t serial() const { return serial_; }
  StageState state() const { return static_cast<StageState>(payload_.index()); }
  const StagePayload& payload() const { return payload_; }
  /// The newest attempt, from 1; 0 before the first. A lease that was lost before it started does
  /// not count.
  int attempt() const { return attempt_; }
  /// Attempts up to this one no longer count against the retry limits.
  int forgiven() const { return forgiven_; }
  const FailureCounts& failures() const { return failures_; }

  /// Succeeded, cancelled, or failed with no retry due.
  bool Ended() const;
  bool FailedForGood() const;
  /// Succeeded without a lease: the work was done elsewhere, and nobody here can do it again.
  bool Imported() const;
  /// The holder while leased or running, else nullptr.
  const Holding* holding() const;
  /// The fence of the current attempt. REQUIRES: holding().
  Fence fence() const;
  /// nullptr unless succeeded.
  const std::shared_ptr<const ArtifactManifest>& artifact() const;

  /// Moves along the table's edge. FAILED_PRECONDITION names the stage, its state and the event
  /// when there is no edge; the stage is then unchanged. Only Core's handlers call this: counters
  /// and indexes follow there.
  absl::Status Apply(StageTransition transition);

  /// Changes inside a state, which are not transitions. REQUIRES: the stage is held (progress:
  /// running).
  void Confirm(absl::Time at);
  void SetProgress(Progress progress);
  void Reattach(WorkerId worker, std::string worker_name, absl::Time at);
  void ExpectReattach(absl::Time by);
  /// Counts a lost lease or a failed attempt of this class towards the retry limits.
  void CountFailure(FailureClass failure);

  // The graph, kept by Core. Pointers live as long as the Core.
  std::vector<Stage*> upstream, downstream;
  std::vector<Sweep*> sweeps;  // Every sweep that refers to it, ended ones too, each once.
  std::vector<CellRef>
      cells;  // Cells whose chain has this stage (inspect stages: none, see ModelGroup).
  int upstream_missing = 0;  // Upstreams that have not succeeded.
  double critical_path = 0;  // Cost of the longest chain from here to a leaf, this stage included.
  // How the ready index ranks it (see Core::ready). Only Core changes these, with the index.
  int priority = 0;               // Highest of its live sweeps.
  std::int64_t oldest_sweep = 0;  // Lowest id of its live sweeps.
  bool runnable = false;          // Some live sweep that is not paused wants it.
  bool indexed = false;           // It is in the ready index.
  std::int32_t needs_class = -1;  // Which part of the ready index.

 private:
  Holding* mutable_holding();

  std::shared_ptr<const StageDefinition> definition_;
  std::int64_t serial_;
  StagePayload payload_;
  int attempt_ = 0;
  int forgiven_ = 0;
  FailureCounts failures_{};
};

}  // namespace bitsweep
