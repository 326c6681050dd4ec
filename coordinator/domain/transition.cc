#include "coordinator/domain/transition.h"

#include <algorithm>
#include <utility>

#include <absl/strings/str_cat.h>

#include "proto/base/status_macros.h"

namespace bitsweep::internal {
namespace {

std::size_t Index(StageKind kind) {
  return static_cast<std::size_t>(kind);
}
std::size_t Index(StageState state) {
  return static_cast<std::size_t>(state);
}
std::size_t Index(CellState state) {
  return static_cast<std::size_t>(state);
}

/// Whether the stage keeps what is downstream of it from ever starting.
bool Blocks(const Stage& stage) {
  return stage.FailedForGood() || stage.state() == StageState::kBlocked;
}

bool AnyUpstreamBlocks(const Stage& stage) {
  return std::any_of(stage.upstream.begin(), stage.upstream.end(), [](const Stage* upstream) {
    return Blocks(*upstream);
  });
}

std::int32_t ClassOf(Core& core, const Stage& stage) {
  const StageNeeds& needs = stage.definition().needs;
  // From the end: the stages of one model come together.
  for (std::size_t i = core.ready.size(); i-- > 0;) {
    if (core.ready[i].kind == stage.kind() && core.ready[i].needs == needs) {
      return static_cast<std::int32_t>(i);
    }
  }
  core.ready.push_back({stage.kind(), needs, {}});
  return static_cast<std::int32_t>(core.ready.size() - 1);
}

void Unindex(Core& core, Stage& stage) {
  if (stage.indexed) {
    core.ready[static_cast<std::size_t>(stage.needs_class)].stages.erase(&stage);
    stage.indexed = false;
  }
}

void Index(Core& core, Stage& stage) {
  if (stage.state() == StageState::kReady && stage.runnable && !stage.indexed) {
    core.ready[static_cast<std::size_t>(stage.needs_class)].stages.insert(&stage);
    stage.indexed = true;
  }
}

/// The transition that the stage's surroundings demand of it now, if any.
std::optional<StageTransition> Demand(const Stage& stage) {
  switch (stage.state()) {
    case StageState::kReady:
      if (stage.upstream_missing > 0) {
        return on::InputsLost{};
      }
      return std::nullopt;
    case StageState::kWaiting:
      if (stage.upstream_missing == 0) {
        return on::InputsReady{};
      }
      if (AnyUpstreamBlocks(stage)) {
        return on::UpstreamFailed{};
      }
      return std::nullopt;
    case StageState::kBlocked:
      if (!AnyUpstreamBlocks(stage)) {
        return on::UpstreamRetried{};
      }
      return std::nullopt;
    default:
      return std::nullopt;
  }
}

void Settle(Core& core, Effects& out, Stage& stage, absl::Time now) {
  if (std::optional<StageTransition> demanded = Demand(stage)) {
    Transition(core, out, stage, std::move(*demanded), now);
  }
}

/// The cells of an inspect stage are those of its model groups; their planning is asked for when it
/// succeeds.
void DeriveModels(Effects& out, Stage& inspect) {
  for (Sweep* sweep : inspect.sweeps) {
    for (ModelGroup& group : sweep->models) {
      if (group.inspect != &inspect) {
        continue;
      }
      if (inspect.state() == StageState::kSucceeded && group.plan == ModelGroup::Plan::kAwaited &&
          sweep->Live()) {
        out.plans.push_back({sweep->id, inspect.key()});
      }
      for (const std::int32_t cell : group.cells) {
        DeriveCell(out, *sweep, cell);
      }
    }
  }
}

CellState StateOf(const Sweep& sweep, const Cell& cell) {
  if (cell.grade != nullptr && cell.grade->state() == StageState::kSucceeded) {
    return CellState::kSucceeded;
  }
  const std::array chain = {cell.inspect, cell.quantize, cell.finetune, cell.generate, cell.grade};
  bool held = false;
  for (const Stage* stage : chain) {
    if (stage != nullptr && stage->FailedForGood()) {
      return CellState::kFailed;
    }
    held = held || (stage != nullptr && stage != cell.inspect && IsHeld(stage->state()));
  }
  if (!cell.failure.empty()) {
    return CellState::kFailed;
  }
  if (sweep.cancelled) {
    return CellState::kCancelled;
  }
  return held ? CellState::kRunning : CellState::kPending;
}

SweepState StateOf(const Sweep& sweep) {
  if (sweep.cancelled) {
    return SweepState::kCancelled;
  }
  const int unfinished =
      sweep.cell_counts[Index(CellState::kPending)] + sweep.cell_counts[Index(CellState::kRunning)];
  if (unfinished == 0) {
    return sweep.cell_counts[Index(CellState::kFailed)] > 0 ? SweepState::kFailed
                                                            : SweepState::kSucceeded;
  }
  if (sweep.paused) {
    return SweepState::kPaused;
  }
  const bool any_planned =
      std::any_of(sweep.models.begin(), sweep.models.end(), [](const ModelGroup& group) {
        return group.plan != ModelGroup::Plan::kAwaited;
      });
  return any_planned ? SweepState::kRunning : SweepState::kPlanning;
}

void RaiseCriticalPath(Core& core, Stage& stage, double downstream) {
  const double length = stage.definition().cost_estimate + downstream;
  if (length <= stage.critical_path) {
    return;
  }
  const bool indexed = stage.indexed;
  Unindex(core, stage);
  stage.critical_path = length;
  if (indexed) {
    Index(core, stage);
  }
  for (Stage* upstream : stage.upstream) {
    RaiseCriticalPath(core, *upstream, length);
  }
}

/// Takes the stage out of every index that its present state put it into.
void LeaveState(Core& core, Stage& stage) {
  Unindex(core, stage);
  if (stage.holding() != nullptr) {
    core.detached.erase(&stage);
  }
  if (const auto* failed = std::get_if<in::Failed>(&stage.payload());
      failed != nullptr && failed->retry_at) {
    core.retries.erase({*failed->retry_at, &stage});
  }
}

void EnterState(Core& core, Stage& stage) {
  Index(core, stage);
  if (const auto* failed = std::get_if<in::Failed>(&stage.payload());
      failed != nullptr && failed->retry_at) {
    core.retries.insert({*failed->retry_at, &stage});
  }
}

void Count(Core& core, Stage& stage, StageState from, StageState to) {
  --core.stage_counts[Index(stage.kind())][Index(from)];
  ++core.stage_counts[Index(stage.kind())][Index(to)];
  for (Sweep* sweep : stage.sweeps) {
    --sweep->stage_counts[Index(stage.kind())][Index(from)];
    ++sweep->stage_counts[Index(stage.kind())][Index(to)];
  }
}

}  // namespace

void Transition(
    Core& core, Effects& out, Stage& stage, StageTransition transition, absl::Time now) {
  const StageState from = stage.state();
  const bool blocked_others = Blocks(stage);
  LeaveState(core, stage);
  const absl::Status applied = stage.Apply(std::move(transition));
  BITSWEEP_CHECK(applied.ok()) << applied.ToString();
  const StageState to = stage.state();
  Count(core, stage, from, to);
  EnterState(core, stage);

  std::optional<absl::Time> retry_at;
  if (const auto* failed = std::get_if<in::Failed>(&stage.payload())) {
    retry_at = failed->retry_at;
  }
  out.changes.push_back(
      change::StageUpdated{stage.key(), to, stage.attempt(), stage.forgiven(), retry_at});

  const int succeeded = (to == StageState::kSucceeded) - (from == StageState::kSucceeded);
  if (succeeded != 0 || blocked_others != Blocks(stage)) {
    for (Stage* downstream : stage.downstream) {
      downstream->upstream_missing -= succeeded;
      Settle(core, out, *downstream, now);
    }
  }
  for (const CellRef& ref : stage.cells) {
    DeriveCell(out, *ref.sweep, ref.cell);
  }
  if (stage.kind() == StageKind::kInspect) {
    DeriveModels(out, stage);
  }
  for (Sweep* sweep : stage.sweeps) {
    out.sweeps_changed.insert(sweep->id);
    DeriveSweep(core, out, *sweep, now);
  }
  Settle(core, out, stage, now);
}

bool DeriveCell(Effects& out, Sweep& sweep, std::int32_t index) {
  Cell& cell = sweep.cells[static_cast<std::size_t>(index)];
  const CellState state = StateOf(sweep, cell);
  if (state == cell.state) {
    return false;
  }
  --sweep.cell_counts[Index(cell.state)];
  ++sweep.cell_counts[Index(state)];
  cell.state = state;
  out.sweeps_changed.insert(sweep.id);
  return true;
}

void DeriveSweep(Core& core, Effects& out, Sweep& sweep, absl::Time now) {
  const SweepState state = StateOf(sweep);
  if (state == sweep.state) {
    return;
  }
  const bool was_live = sweep.Live();
  sweep.state = state;
  if (sweep.Live()) {
    sweep.ended.reset();
  } else if (was_live) {
    sweep.ended = now;
  }
  out.sweeps_changed.insert(sweep.id);
  out.changes.push_back(change::SweepUpdated{
      sweep.id, sweep.state, sweep.paused, sweep.cancelled, sweep.cached, sweep.ended});
  if (was_live != sweep.Live()) {
    RefreshWants(core, sweep);
  }
}

void Rerank(Core& core, Stage& stage) {
  Unindex(core, stage);
  stage.runnable = false;
  stage.priority = 0;
  stage.oldest_sweep = 0;
  bool first = true;
  for (const Sweep* sweep : stage.sweeps) {
    if (!sweep->Live()) {
      continue;
    }
    stage.runnable = stage.runnable || !sweep->paused;
    stage.priority =
        first ? sweep->submission.priority : std::max(stage.priority, sweep->submission.priority);
    stage.oldest_sweep =
        first ? sweep->id.value() : std::min(stage.oldest_sweep, sweep->id.value());
    first = false;
  }
  Index(core, stage);
}

void RefreshWants(Core& core, Sweep& sweep) {
  for (Stage* stage : sweep.stages) {
    Rerank(core, *stage);
  }
}

void WireStage(Core& core, Stage& stage) {
  stage.needs_class = ClassOf(core, stage);
  for (const StageKey& key : stage.definition().upstream) {
    Stage* upstream = core.FindStage(key);
    BITSWEEP_CHECK(upstream != nullptr)
        << stage.key().value() << ": upstream " << key.value() << " is not known";
    stage.upstream.push_back(upstream);
    upstream->downstream.push_back(&stage);
    stage.upstream_missing += upstream->state() != StageState::kSucceeded ? 1 : 0;
  }
  for (Stage* upstream : stage.upstream) {
    RaiseCriticalPath(core, *upstream, stage.critical_path);
  }
}

Stage& AddStage(Core& core,
                Effects& out,
                std::shared_ptr<const StageDefinition> definition,
                absl::Time now) {
  auto owned = std::make_unique<Stage>(std::move(definition), core.counters.next_stage++);
  Stage& stage = *owned;
  core.stages.emplace(stage.key(), std::move(owned));
  WireStage(core, stage);
  if (std::optional<StageTransition> demanded = Demand(stage)) {
    BITSWEEP_CHECK(stage.Apply(std::move(*demanded)).ok());
  }
  ++core.stage_counts[Index(stage.kind())][Index(stage.state())];
  out.changes.push_back(
      change::StageAdded{stage.shared_definition(), stage.serial(), stage.state(), now});
  return stage;
}

Stage& AddImportedStage(Core& core,
                        Effects& out,
                        std::shared_ptr<const StageDefinition> definition,
                        std::shared_ptr<const ArtifactManifest> artifact,
                        absl::Time now) {
  BITSWEEP_CHECK(definition->upstream.empty()) << definition->key.value() << " has upstreams";
  auto owned = std::make_unique<Stage>(std::move(definition),
                                       core.counters.next_stage++,
                                       in::Succeeded{artifact, LeaseId()},
                                       /*attempt=*/1,
                                       /*forgiven=*/0,
                                       FailureCounts{});
  Stage& stage = *owned;
  core.stages.emplace(stage.key(), std::move(owned));
  WireStage(core, stage);
  ++core.stage_counts[Index(stage.kind())][Index(stage.state())];
  out.changes.push_back(change::StageAdded{
      stage.shared_definition(), stage.serial(), stage.state(), now, stage.attempt()});
  out.changes.push_back(change::ArtifactPublished{stage.key(), std::move(artifact)});
  return stage;
}

void WantStage(Core& core, Effects& out, Sweep& sweep, Stage& stage, absl::Time now) {
  // The newest sweeps are at the end, and a stage is wanted by a sweep once for each of its cells.
  if (std::find(stage.sweeps.rbegin(), stage.sweeps.rend(), &sweep) != stage.sweeps.rend()) {
    return;
  }
  for (Stage* upstream : stage.upstream) {
    WantStage(core, out, sweep, *upstream, now);
  }
  stage.sweeps.push_back(&sweep);
  sweep.stages.push_back(&stage);
  ++sweep.stage_counts[Index(stage.kind())][Index(stage.state())];
  sweep.cached += stage.state() == StageState::kSucceeded ? 1 : 0;
  out.changes.push_back(change::StageWanted{stage.key(), sweep.id});
  Rerank(core, stage);
  if (stage.state() == StageState::kCancelled) {
    Transition(core, out, stage, on::Request{}, now);
  } else if (stage.FailedForGood()) {
    Transition(core, out, stage, on::Retry{.forgive = true}, now);
  }
}

void AttachCell(Core& core, Sweep& sweep, std::int32_t index) {
  Cell& cell = sweep.cells[static_cast<std::size_t>(index)];
  cell.inspect = core.FindStage(cell.definition.inspect);
  const auto attach = [&](const std::optional<StageKey>& key, Stage*& place) {
    if (!key || place != nullptr) {
      return;
    }
    place = core.FindStage(*key);
    BITSWEEP_CHECK(place != nullptr)
        << "cell " << cell.definition.id << ": stage " << key->value() << " is not known";
    place->cells.push_back({&sweep, index});
  };
  attach(cell.definition.quantize, cell.quantize);
  attach(cell.definition.finetune, cell.finetune);
  attach(cell.definition.generate, cell.generate);
  attach(cell.definition.grade, cell.grade);
}

}  // namespace bitsweep::internal
