// Questions about a Core, answered as values: what status, workers and explain show. Runs on: core
// strand; the values may leave it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include "coordinator/domain/core.h"

namespace bitsweep {

struct SweepSummary {
  SweepId id;
  std::string name;
  SweepState state = SweepState::kPlanning;
  absl::Time created;
  std::optional<absl::Time> ended;
  int cells = 0, cells_done = 0;  // done: succeeded
};

struct StageCount {
  StageKind kind = StageKind::kInspect;
  StageState state = StageState::kWaiting;
  int count = 0;
};

struct RunningStage {
  StageKey stage;
  StageKind kind = StageKind::kInspect;
  std::string label, worker;
  int attempt = 0;
  absl::Time started;
  Progress progress;
  std::optional<absl::Duration> eta;  // From its own progress, else from the history of its kind.
};

struct SweepView {
  SweepSummary summary;
  std::vector<StageCount> stages;     // Non-zero ones, by kind and state.
  std::vector<RunningStage> running;  // Leased ones too (no progress yet), oldest first.
  std::vector<FailureNote> failures;  // Newest first.
  int cached = 0;
  int workers = 0;                    // Connected.
  std::optional<absl::Duration> eta;  // Unknown while some remaining kind has no history.
  std::vector<std::string> notes;     // Cells that could not be planned, and such.
};

struct WorkerView {
  WorkerId id;
  WorkerOffer offer;
  WorkerState state = WorkerState::kConnected;
  absl::Time last_seen;
  std::vector<StageKey> running;
};

SweepSummary Summarize(const Sweep& sweep);
/// Newest first.
std::vector<SweepSummary> ListSweeps(const Core& core);
SweepView DescribeSweep(const Core& core, const Sweep& sweep, absl::Time now);
/// Live ones first, then the newest of the others.
std::vector<WorkerView> ListWorkers(const Core& core);
int ConnectedWorkers(const Core& core);
/// Whether a connected worker has a GPU: decides the default numerics of a submit.
bool AnyGpuConnected(const Core& core);

/// An id, a name (the newest sweep of that name) or "latest". NOT_FOUND says what was looked for
/// and what there is.
absl::StatusOr<SweepId> ResolveSweep(const Core& core, std::string_view text);
/// A key or a prefix of at least kStagePrefixMin digits. INVALID_ARGUMENT: too short, not
/// hexadecimal, or several stages match (it names some). NOT_FOUND.
inline constexpr std::size_t kStagePrefixMin = 4;
absl::StatusOr<StageKey> ResolveStage(const Core& core, std::string_view text);

}  // namespace bitsweep
