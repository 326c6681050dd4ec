// What people ask of a sweep: cancel, pause, resume, retry; and artifacts that got lost.
#include <algorithm>
#include <utility>

#include "coordinator/domain/handlers.h"
#include "coordinator/domain/text.h"
#include "coordinator/domain/transition.h"

#include "proto/base/status_macros.h"

namespace bitsweep {
namespace {

using internal::DeriveCell;
using internal::DeriveSweep;
using internal::RefreshWants;
using internal::Release;
using internal::Transition;

absl::StatusOr<Sweep*> Find(const Core& core, SweepId id) {
  Sweep* sweep = core.FindSweep(id);
  if (sweep == nullptr) {
    return absl::NotFoundError(Cat("no sweep ", id.value()));
  }
  return sweep;
}

absl::Status Ended(const Sweep& sweep, std::string_view verb) {
  return absl::FailedPreconditionError(Cat("sweep ",
                                           sweep.id.value(),
                                           " (",
                                           sweep.submission.name,
                                           ") has ",
                                           sweep.state == SweepState::kCancelled ? "been " : "",
                                           ToString(sweep.state),
                                           ": nothing to ",
                                           verb));
}

void RecordSweep(Effects& out, const Sweep& sweep) {
  out.changes.push_back(change::SweepUpdated{
      sweep.id, sweep.state, sweep.paused, sweep.cancelled, sweep.cached, sweep.ended});
  out.sweeps_changed.insert(sweep.id);
}

bool WantedByLiveSweep(const Stage& stage) {
  return std::any_of(
      stage.sweeps.begin(), stage.sweeps.end(), [](const Sweep* sweep) { return sweep->Live(); });
}

void CancelStage(Core& core, Effects& out, Stage& stage, std::string_view reason, absl::Time now) {
  if (const Holding* holding = stage.holding()) {
    out.Tell(holding->worker, CancelAttempt{stage.fence(), std::string(reason)});
    change::AttemptEnded ended;
    ended.stage = stage.key();
    ended.attempt = stage.attempt();
    ended.state = StageState::kCancelled;
    ended.message = std::string(reason);
    ended.at = now;
    out.changes.push_back(std::move(ended));
    out.probes.push_back(probe::StageFinished{
        stage.kind(), StageState::kCancelled, now - holding->leased_at, std::nullopt});
    Release(core, stage);
  }
  Transition(core, out, stage, on::Cancel{}, now);
}

absl::StatusOr<int> SetPaused(Core& core, Effects& out, SweepId id, bool paused, absl::Time now) {
  BITSWEEP_ASSIGN_OR_RETURN(Sweep * sweep, Find(core, id));
  if (!sweep->Live()) {
    return Ended(*sweep, paused ? "pause" : "resume");
  }
  if (sweep->paused == paused) {
    return 0;
  }
  const auto runnable = [&] {
    return static_cast<int>(
        std::count_if(sweep->stages.begin(), sweep->stages.end(), [](const Stage* stage) {
          return stage->runnable && !stage->Ended();
        }));
  };
  const int before = runnable();
  sweep->paused = paused;
  RefreshWants(core, *sweep);
  DeriveSweep(core, out, *sweep, now);
  RecordSweep(out, *sweep);
  return std::abs(runnable() - before);
}

/// A model that could not be planned is looked at again. Returns whether its inspect stage changed.
bool RetryModel(Core& core, Effects& out, Sweep& sweep, ModelGroup& group, absl::Time now) {
  if (group.plan != ModelGroup::Plan::kFailed) {
    return false;
  }
  group.plan = ModelGroup::Plan::kAwaited;
  out.changes.push_back(change::ModelPlanned{sweep.id, group.inspect->key(), group.plan});
  for (const std::int32_t ordinal : group.cells) {
    Cell& cell = sweep.cells[static_cast<std::size_t>(ordinal)];
    cell.failure.clear();
    out.changes.push_back(change::CellWritten{sweep.id, ordinal, cell.definition, ""});
    DeriveCell(out, sweep, ordinal);
  }
  DeriveSweep(core, out, sweep, now);
  if (group.inspect->state() != StageState::kSucceeded) {
    return false;
  }
  out.changes.push_back(change::ArtifactRemoved{group.inspect->key()});
  Transition(core, out, *group.inspect, on::Invalidate{}, now);
  return true;
}

}  // namespace

absl::StatusOr<int> OnCancelSweep(
    Core& core, Effects& out, SweepId id, std::string_view reason, absl::Time now) {
  BITSWEEP_ASSIGN_OR_RETURN(Sweep * sweep, Find(core, id));
  if (sweep->cancelled) {
    return 0;
  }
  if (!sweep->Live()) {
    return Ended(*sweep, "cancel");
  }
  sweep->cancelled = true;
  for (std::size_t i = 0; i < sweep->cells.size(); ++i) {
    DeriveCell(out, *sweep, static_cast<std::int32_t>(i));
  }
  DeriveSweep(core, out, *sweep, now);
  RecordSweep(out, *sweep);
  const std::string message =
      Cat("sweep ", id.value(), " was cancelled", reason.empty() ? "" : ": ", reason);
  int changed = 0;
  for (Stage* stage : sweep->stages) {
    if (!stage->Ended() && !WantedByLiveSweep(*stage)) {
      CancelStage(core, out, *stage, message, now);
      ++changed;
    }
  }
  return changed;
}

absl::StatusOr<int> OnPause(Core& core, Effects& out, SweepId id, absl::Time now) {
  return SetPaused(core, out, id, true, now);
}

absl::StatusOr<int> OnResume(Core& core, Effects& out, SweepId id, absl::Time now) {
  return SetPaused(core, out, id, false, now);
}

absl::StatusOr<int> OnRetry(Core& core, Effects& out, SweepId id, absl::Time now) {
  BITSWEEP_ASSIGN_OR_RETURN(Sweep * sweep, Find(core, id));
  if (sweep->cancelled) {
    return absl::FailedPreconditionError(Cat(
        "sweep ", id.value(), " (", sweep->submission.name, ") was cancelled: submit it again"));
  }
  int changed = 0;
  for (ModelGroup& group : sweep->models) {
    changed += RetryModel(core, out, *sweep, group, now) ? 1 : 0;
  }
  for (Stage* stage : sweep->stages) {
    if (stage->state() == StageState::kFailed) {
      Transition(core, out, *stage, on::Retry{.forgive = true}, now);
      ++changed;
    }
  }
  DeriveSweep(core, out, *sweep, now);
  return changed;
}

absl::Status OnArtifactLost(Core& core, Effects& out, const StageKey& key, absl::Time now) {
  Stage* stage = core.FindStage(key);
  if (stage == nullptr) {
    return absl::NotFoundError(Cat("no stage ", key.value()));
  }
  if (stage->state() != StageState::kSucceeded) {
    return absl::FailedPreconditionError(
        Cat("stage ", key.value(), " is ", ToString(stage->state()), ": it has no artifact"));
  }
  if (stage->Imported()) {
    return absl::FailedPreconditionError(
        Cat("stage ", key.value(), " was imported: nobody here can make it again"));
  }
  out.changes.push_back(change::ArtifactRemoved{key});
  Transition(core, out, *stage, on::Invalidate{}, now);
  return absl::OkStatus();
}

}  // namespace bitsweep
