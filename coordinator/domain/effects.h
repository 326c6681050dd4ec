// What follows from an event, collected by the handlers and carried out by the app: first `changes`
// in one transaction, and only when that has committed, everything else. One Effects may collect
// the events of a whole batch (group commit). Plain values. Runs on: core strand.
#pragma once

#include <optional>
#include <set>
#include <variant>
#include <vector>

#include <absl/time/time.h>

#include "coordinator/domain/change.h"

#include "proto/base/ids.h"
#include "proto/contract/session.h"

namespace bitsweep {

/// For the metrics room; the domain never calls a probe.
namespace probe {
struct StageFinished {
  StageKind kind = StageKind::kInspect;
  StageState state = StageState::kSucceeded;  // succeeded, failed, cancelled
  absl::Duration took;  // since the start of the attempt; zero when it never started
  std::optional<FailureClass> failure;
};
struct StageLeased {
  StageKind kind = StageKind::kInspect;
};
struct StaleMessage {};
struct WorkerLost {};
}  // namespace probe
using Probe =
    std::variant<probe::StageFinished, probe::StageLeased, probe::StaleMessage, probe::WorkerLost>;

struct Effects {
  struct Send {
    WorkerId worker;
    CoordinatorMessage message;
  };
  /// The manifest of the model behind `inspect` is in: plan its cells and answer with
  /// OnModelPlanned or OnPlanFailed.
  struct PlanModel {
    SweepId sweep;
    StageKey inspect;
  };
  void Tell(WorkerId worker, CoordinatorMessage message);

  std::vector<Change> changes;
  std::vector<Send> sends;  // in order for each worker
  std::vector<WorkerId>
      closed;  // sessions to close: superseded by another registration of the same name
  std::vector<PlanModel> plans;
  std::set<SweepId> sweeps_changed;  // watchers look again
  std::vector<Probe> probes;
};

}  // namespace bitsweep
