// What the store must make durable, as values. Handlers append Changes in the order in which they
// must be applied; the store applies any number of them in one transaction. Records are what it
// hands back at a restart. Plain values: any thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <absl/time/time.h>

#include "coordinator/domain/retry.h"
#include "coordinator/domain/sweep.h"
#include "coordinator/domain/verdict.h"
#include "coordinator/domain/worker.h"

#include "proto/base/ids.h"
#include "proto/contract/cell.h"
#include "proto/contract/session.h"
#include "proto/contract/stage.h"

namespace bitsweep {

/// The next numbers to hand out. Never used twice in the life of a database.
struct Counters {
  std::int64_t next_sweep = 1, next_worker = 1, next_lease = 1, next_stage = 1;
  friend bool operator==(const Counters&, const Counters&) = default;
};

namespace change {

struct SweepAdded {
  SweepId id;
  Submission submission;
  absl::Time created;
};
struct SweepUpdated {
  SweepId id;
  SweepState state = SweepState::kPlanning;
  bool paused = false, cancelled = false;
  int cached = 0;
  std::optional<absl::Time> ended;
};
/// Inserts the cell or replaces what its planning decided (stages, problems, failure).
struct CellWritten {
  SweepId sweep;
  std::int32_t ordinal = 0;  // From 0, the sweep file's order.
  CellDefinition definition;
  std::string failure;
};
struct ModelPlanned {
  SweepId sweep;
  StageKey inspect;
  ModelGroup::Plan plan = ModelGroup::Plan::kAwaited;
};
/// A new stage: waiting, blocked or ready; or imported, and then it has succeeded at attempt 1. Its
/// upstreams were added before.
struct StageAdded {
  std::shared_ptr<const StageDefinition> definition;
  std::int64_t serial = 0;
  StageState state = StageState::kWaiting;
  absl::Time at;
  int attempt = 0;
};
struct StageWanted {
  StageKey stage;
  SweepId sweep;
};
struct StageUpdated {
  StageKey stage;
  StageState state = StageState::kWaiting;
  int attempt = 0, forgiven = 0;
  std::optional<absl::Time> retry_at;  // failed only
};
/// A lease: inserts the attempt.
struct AttemptLeased {
  StageKey stage;
  int attempt = 0;
  LeaseId lease;
  WorkerId worker;
  absl::Time at;
};
/// The lease was lost before the attempt started: there was none, and its number is used again.
struct AttemptDropped {
  StageKey stage;
  int attempt = 0;
};
struct AttemptStarted {
  StageKey stage;
  int attempt = 0;
  absl::Time at;
};
/// The attempt goes on under another registration of its worker.
struct AttemptReattached {
  StageKey stage;
  int attempt = 0;
  WorkerId worker;
};
struct AttemptEnded {
  StageKey stage;
  int attempt = 0;
  StageState state = StageState::kFailed;  // succeeded, failed, cancelled
  std::optional<FailureClass> failure;
  std::string message, log_tail, build;
  std::int64_t peak_host_bytes = 0, peak_gpu_bytes = 0;
  bool final = false;  // failed: no further attempt by itself
  absl::Time at;
};
/// Replaces the artifact of the stage.
struct ArtifactPublished {
  StageKey stage;
  std::shared_ptr<const ArtifactManifest> artifact;
};
struct ArtifactRemoved {
  StageKey stage;
};  // and its verdicts
/// Replaces the verdicts of the stage.
struct VerdictsIngested {
  StageKey stage;
  std::vector<VerdictRow> rows;
};
struct WorkerAdded {
  WorkerId id;
  WorkerOffer offer;
  absl::Time at;
};
struct WorkerUpdated {
  WorkerId id;
  WorkerState state = WorkerState::kConnected;
  absl::Time last_seen;
};
struct CountersAdvanced {
  Counters counters;
};

}  // namespace change

using Change = std::variant<change::SweepAdded,
                            change::SweepUpdated,
                            change::CellWritten,
                            change::ModelPlanned,
                            change::StageAdded,
                            change::StageWanted,
                            change::StageUpdated,
                            change::AttemptLeased,
                            change::AttemptStarted,
                            change::AttemptDropped,
                            change::AttemptReattached,
                            change::AttemptEnded,
                            change::ArtifactPublished,
                            change::ArtifactRemoved,
                            change::VerdictsIngested,
                            change::WorkerAdded,
                            change::WorkerUpdated,
                            change::CountersAdvanced>;

/// Everything that a Core is rebuilt from.
struct Records {
  struct SweepRecord {
    SweepId id;
    Submission submission;
    absl::Time created;
    std::optional<absl::Time> ended;
    bool paused = false, cancelled = false;
    int cached = 0;
    SweepState state = SweepState::kPlanning;
    std::vector<change::CellWritten> cells;  // by ordinal
    std::vector<change::ModelPlanned> models;
    std::vector<StageKey> stages;       // by serial
    std::vector<FailureNote> failures;  // newest first
  };
  struct StageRecord {
    std::shared_ptr<const StageDefinition> definition;
    std::int64_t serial = 0;
    StageState state = StageState::kWaiting;
    int attempt = 0, forgiven = 0;
    std::optional<absl::Time> retry_at;
    FailureCounts failures{};
    std::shared_ptr<const ArtifactManifest> artifact;  // succeeded
    // Of the newest attempt; zero or empty when there is none.
    LeaseId lease;
    WorkerId worker;
    std::string worker_name;
    absl::Time leased_at, started, ended;
    std::optional<FailureClass> failure;
    std::string message;
  };
  /// How long succeeded attempts took.
  struct History {
    std::int64_t count = 0;
    double seconds = 0;
  };
  Counters counters;
  std::vector<SweepRecord> sweeps;  // by id
  std::vector<StageRecord> stages;  // by serial
  std::map<StageKind, History> history;
};

}  // namespace bitsweep
