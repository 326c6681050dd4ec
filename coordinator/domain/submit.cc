// Sweeps come in, models get planned.
#include <memory>
#include <unordered_set>
#include <utility>

#include "coordinator/domain/handlers.h"
#include "coordinator/domain/text.h"
#include "coordinator/domain/transition.h"

#include "proto/base/status_macros.h"

namespace bitsweep {
namespace {

using internal::AddStage;
using internal::AttachCell;
using internal::DeriveCell;
using internal::DeriveSweep;
using internal::RecordCounters;
using internal::WantStage;

/// Every upstream is known or stands earlier in the plan, and every key that a cell names is known.
absl::Status CheckPlan(const Core& core, const SweepPlan& plan) {
  std::unordered_set<StageKey> seen;
  const auto known = [&](const StageKey& key) {
    return seen.contains(key) || core.FindStage(key) != nullptr;
  };
  for (const StageDefinition& stage : plan.stages) {
    for (const StageKey& upstream : stage.upstream) {
      if (!known(upstream)) {
        return absl::InvalidArgumentError(Cat("stage ",
                                              stage.label,
                                              ": its upstream ",
                                              upstream.value(),
                                              " is neither earlier in the plan nor known"));
      }
    }
    seen.insert(stage.key);
  }
  std::unordered_set<std::string> ids;
  for (const CellDefinition& cell : plan.cells) {
    if (!ids.insert(cell.id).second) {
      return absl::InvalidArgumentError(Cat("cell ", cell.id, " is planned twice"));
    }
    for (const std::optional<StageKey>& key :
         {std::optional(cell.inspect), cell.quantize, cell.finetune, cell.generate, cell.grade}) {
      if (key && !known(*key)) {
        return absl::InvalidArgumentError(Cat(
            "cell ", cell.id, ": its stage ", key->value(), " is neither in the plan nor known"));
      }
    }
  }
  return absl::OkStatus();
}

/// Adds what is new of the plan's stages and makes the sweep refer to all of them.
void WantStages(Core& core, Effects& out, Sweep& sweep, const SweepPlan& plan, absl::Time now) {
  for (const StageDefinition& definition : plan.stages) {
    Stage* stage = core.FindStage(definition.key);
    if (stage == nullptr) {
      stage = &AddStage(core, out, std::make_shared<const StageDefinition>(definition), now);
    }
    WantStage(core, out, sweep, *stage, now);
  }
}

void RecordSweep(Effects& out, const Sweep& sweep) {
  out.changes.push_back(change::SweepUpdated{
      sweep.id, sweep.state, sweep.paused, sweep.cancelled, sweep.cached, sweep.ended});
  out.sweeps_changed.insert(sweep.id);
}

SubmitReceipt ReceiptOf(const Sweep& sweep, bool existed) {
  return {sweep.id,
          sweep.submission.name,
          existed,
          static_cast<int>(sweep.cells.size()),
          static_cast<int>(sweep.stages.size()),
          sweep.cached};
}

/// The sweep and its group of cells behind `inspect`.
absl::StatusOr<std::pair<Sweep*, ModelGroup*>> FindModel(const Core& core,
                                                         SweepId id,
                                                         const StageKey& inspect) {
  Sweep* sweep = core.FindSweep(id);
  if (sweep == nullptr) {
    return absl::NotFoundError(Cat("no sweep ", id.value()));
  }
  for (ModelGroup& group : sweep->models) {
    if (group.inspect->key() == inspect) {
      return std::pair(sweep, &group);
    }
  }
  return absl::NotFoundError(
      Cat("sweep ", id.value(), " has no model behind inspect stage ", inspect.value()));
}

void AddCells(Core& core, Effects& out, Sweep& sweep, const SweepPlan& plan) {
  sweep.cells.reserve(plan.cells.size());
  std::unordered_map<StageKey, std::size_t> group_of;
  for (const CellDefinition& definition : plan.cells) {
    const auto ordinal = static_cast<std::int32_t>(sweep.cells.size());
    Cell& cell = sweep.cells.emplace_back();
    cell.definition = definition;
    const auto [place, added] = group_of.emplace(definition.inspect, sweep.models.size());
    if (added) {
      sweep.models.push_back({core.FindStage(definition.inspect), {}, ModelGroup::Plan::kAwaited});
      out.changes.push_back(
          change::ModelPlanned{sweep.id, definition.inspect, ModelGroup::Plan::kAwaited});
    }
    sweep.models[place->second].cells.push_back(ordinal);
    out.changes.push_back(change::CellWritten{sweep.id, ordinal, definition, ""});
  }
}

}  // namespace

absl::StatusOr<SubmitReceipt> OnSubmit(
    Core& core, Effects& out, const Submission& submission, const SweepPlan& plan, absl::Time now) {
  if (const auto place = core.sweep_of_request.find(submission.request_id);
      !submission.request_id.empty() && place != core.sweep_of_request.end()) {
    return ReceiptOf(*core.sweeps.at(place->second), true);
  }
  if (plan.cells.empty()) {
    return absl::InvalidArgumentError(
        Cat("sweep ", submission.name, " has no cell: nothing to run"));
  }
  BITSWEEP_RETURN_IF_ERROR(CheckPlan(core, plan));
  const Counters before = core.counters;
  auto owned = std::make_unique<Sweep>();
  Sweep& sweep = *owned;
  sweep.id = SweepId(core.counters.next_sweep++);
  sweep.submission = submission;
  sweep.created = now;
  out.changes.push_back(change::SweepAdded{sweep.id, submission, now});
  sweep.cell_counts[static_cast<std::size_t>(CellState::kPending)] =
      static_cast<int>(plan.cells.size());
  core.sweeps.emplace(sweep.id, std::move(owned));
  if (!submission.request_id.empty()) {
    core.sweep_of_request.emplace(submission.request_id, sweep.id);
  }
  WantStages(core, out, sweep, plan, now);
  AddCells(core, out, sweep, plan);
  for (const ModelGroup& group : sweep.models) {
    WantStage(core, out, sweep, *group.inspect, now);
    if (group.inspect->state() == StageState::kSucceeded) {
      out.plans.push_back({sweep.id, group.inspect->key()});
    }
  }
  for (std::size_t i = 0; i < sweep.cells.size(); ++i) {
    AttachCell(core, sweep, static_cast<std::int32_t>(i));
    DeriveCell(out, sweep, static_cast<std::int32_t>(i));
  }
  DeriveSweep(core, out, sweep, now);
  RecordSweep(out, sweep);
  RecordCounters(core, out, before);
  return ReceiptOf(sweep, false);
}

absl::Status OnModelPlanned(Core& core,
                            Effects& out,
                            SweepId id,
                            const StageKey& inspect,
                            const SweepPlan& plan,
                            absl::Time now) {
  BITSWEEP_ASSIGN_OR_RETURN(const auto model, FindModel(core, id, inspect));
  auto& [sweep, group] = model;
  if (group->plan == ModelGroup::Plan::kDone || !sweep->Live()) {
    return absl::OkStatus();
  }
  BITSWEEP_RETURN_IF_ERROR(CheckPlan(core, plan));
  std::unordered_map<std::string, std::int32_t> ordinals;
  for (const std::int32_t ordinal : group->cells) {
    ordinals.emplace(sweep->cells[static_cast<std::size_t>(ordinal)].definition.id, ordinal);
  }
  for (const CellDefinition& cell : plan.cells) {
    if (!ordinals.contains(cell.id) || cell.inspect != inspect || !cell.generate || !cell.grade) {
      return absl::InvalidArgumentError(
          Cat("cell ",
              cell.id,
              " of the plan is not a complete cell of the model behind ",
              inspect.value()));
    }
  }
  if (plan.cells.size() != group->cells.size()) {
    return absl::InvalidArgumentError(Cat("the plan has ",
                                          plan.cells.size(),
                                          " cells, the model behind ",
                                          inspect.value(),
                                          " has ",
                                          group->cells.size()));
  }
  const Counters before = core.counters;
  WantStages(core, out, *sweep, plan, now);
  group->plan = ModelGroup::Plan::kDone;
  out.changes.push_back(change::ModelPlanned{id, inspect, group->plan});
  for (const CellDefinition& definition : plan.cells) {
    const std::int32_t ordinal = ordinals.at(definition.id);
    Cell& cell = sweep->cells[static_cast<std::size_t>(ordinal)];
    cell.definition = definition;
    cell.failure.clear();
    AttachCell(core, *sweep, ordinal);
    out.changes.push_back(change::CellWritten{id, ordinal, definition, ""});
    DeriveCell(out, *sweep, ordinal);
  }
  DeriveSweep(core, out, *sweep, now);
  RecordSweep(out, *sweep);
  RecordCounters(core, out, before);
  return absl::OkStatus();
}

absl::Status OnPlanFailed(Core& core,
                          Effects& out,
                          SweepId id,
                          const StageKey& inspect,
                          std::string_view message,
                          absl::Time now) {
  BITSWEEP_ASSIGN_OR_RETURN(const auto model, FindModel(core, id, inspect));
  auto& [sweep, group] = model;
  if (group->plan != ModelGroup::Plan::kAwaited || !sweep->Live()) {
    return absl::OkStatus();
  }
  group->plan = ModelGroup::Plan::kFailed;
  out.changes.push_back(change::ModelPlanned{id, inspect, group->plan});
  for (const std::int32_t ordinal : group->cells) {
    Cell& cell = sweep->cells[static_cast<std::size_t>(ordinal)];
    cell.failure =
        message.empty() ? std::string("the model could not be planned") : std::string(message);
    out.changes.push_back(change::CellWritten{id, ordinal, cell.definition, cell.failure});
    DeriveCell(out, *sweep, ordinal);
  }
  DeriveSweep(core, out, *sweep, now);
  RecordSweep(out, *sweep);
  return absl::OkStatus();
}

}  // namespace bitsweep
