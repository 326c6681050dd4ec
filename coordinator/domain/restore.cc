// A Core from what the store kept.
#include <utility>

#include "coordinator/domain/core.h"
#include "coordinator/domain/handlers.h"
#include "coordinator/domain/text.h"
#include "coordinator/domain/transition.h"

#include "proto/base/status_macros.h"

namespace bitsweep {
namespace {

Holding HoldingOf(const Records::StageRecord& record, absl::Time now) {
  return {
      record.lease, record.worker, record.worker_name, record.leased_at, now, now + kReattachGrace};
}

absl::StatusOr<StagePayload> PayloadOf(const Records::StageRecord& record, absl::Time now) {
  const StageKey& key = record.definition->key;
  switch (record.state) {
    case StageState::kWaiting:
      return in::Waiting{};
    case StageState::kBlocked:
      return in::Blocked{};
    case StageState::kReady:
      return in::Ready{};
    case StageState::kLeased:
    case StageState::kRunning:
      if (record.lease.value() == 0) {
        return absl::DataLossError(
            Cat("stage ", key.value(), " is ", ToString(record.state), " without an attempt"));
      }
      if (record.state == StageState::kLeased) {
        return in::Leased{HoldingOf(record, now)};
      }
      return in::Running{HoldingOf(record, now), record.started, {}};
    case StageState::kSucceeded:
      if (record.artifact == nullptr) {
        return absl::DataLossError(Cat("stage ", key.value(), " succeeded without an artifact"));
      }
      return in::Succeeded{record.artifact, record.lease};
    case StageState::kFailed:
      return in::Failed{record.failure.value_or(FailureClass::kBug),
                        record.message,
                        record.ended,
                        record.lease,
                        record.retry_at};
    case StageState::kCancelled:
      return in::Cancelled{};
  }
  return absl::DataLossError(Cat("stage ", key.value(), " is in no known state"));
}

absl::Status RestoreStage(Core& core, const Records::StageRecord& record, absl::Time now) {
  const StageKey& key = record.definition->key;
  for (const StageKey& upstream : record.definition->upstream) {
    if (core.FindStage(upstream) == nullptr) {
      return absl::DataLossError(Cat(
          "stage ", key.value(), ": its upstream ", upstream.value(), " is not in the database"));
    }
  }
  BITSWEEP_ASSIGN_OR_RETURN(StagePayload payload, PayloadOf(record, now));
  auto owned = std::make_unique<Stage>(record.definition,
                                       record.serial,
                                       std::move(payload),
                                       record.attempt,
                                       record.forgiven,
                                       record.failures);
  Stage& stage = *owned;
  if (!core.stages.emplace(key, std::move(owned)).second) {
    return absl::DataLossError(Cat("stage ", key.value(), " is in the database twice"));
  }
  internal::WireStage(core, stage);
  ++core.stage_counts[static_cast<std::size_t>(stage.kind())]
                     [static_cast<std::size_t>(stage.state())];
  if (stage.holding() != nullptr) {
    core.detached.insert(&stage);
  }
  if (stage.state() == StageState::kFailed && record.retry_at) {
    core.retries.insert({*record.retry_at, &stage});
  }
  return absl::OkStatus();
}

absl::Status RestoreCells(Core& core, Sweep& sweep, const Records::SweepRecord& record) {
  for (const change::ModelPlanned& model : record.models) {
    Stage* inspect = core.FindStage(model.inspect);
    if (inspect == nullptr) {
      return absl::DataLossError(Cat("sweep ",
                                     sweep.id.value(),
                                     ": inspect stage ",
                                     model.inspect.value(),
                                     " is not in the database"));
    }
    sweep.models.push_back({inspect, {}, model.plan});
  }
  for (const change::CellWritten& written : record.cells) {
    const auto ordinal = static_cast<std::int32_t>(sweep.cells.size());
    const CellDefinition& definition = written.definition;
    for (const std::optional<StageKey>& key :
         {definition.quantize, definition.finetune, definition.generate, definition.grade}) {
      if (key && core.FindStage(*key) == nullptr) {
        return absl::DataLossError(Cat("sweep ",
                                       sweep.id.value(),
                                       ", cell ",
                                       definition.id,
                                       ": stage ",
                                       key->value(),
                                       " is not in the database"));
      }
    }
    Cell& cell = sweep.cells.emplace_back();
    cell.definition = definition;
    cell.failure = written.failure;
    bool grouped = false;
    for (ModelGroup& group : sweep.models) {
      if (group.inspect->key() == definition.inspect) {
        group.cells.push_back(ordinal);
        grouped = true;
      }
    }
    if (!grouped) {
      return absl::DataLossError(Cat("sweep ",
                                     sweep.id.value(),
                                     ", cell ",
                                     definition.id,
                                     " belongs to no model of the sweep"));
    }
  }
  sweep.cell_counts[static_cast<std::size_t>(CellState::kPending)] =
      static_cast<int>(sweep.cells.size());
  return absl::OkStatus();
}

absl::Status RestoreSweep(Core& core, const Records::SweepRecord& record) {
  auto owned = std::make_unique<Sweep>();
  Sweep& sweep = *owned;
  sweep.id = record.id;
  sweep.submission = record.submission;
  sweep.created = record.created;
  sweep.ended = record.ended;
  sweep.paused = record.paused;
  sweep.cancelled = record.cancelled;
  sweep.cached = record.cached;
  sweep.state = record.state;
  sweep.failures.assign(record.failures.begin(), record.failures.end());
  for (const StageKey& key : record.stages) {
    Stage* stage = core.FindStage(key);
    if (stage == nullptr) {
      return absl::DataLossError(
          Cat("sweep ", sweep.id.value(), ": stage ", key.value(), " is not in the database"));
    }
    stage->sweeps.push_back(&sweep);
    sweep.stages.push_back(stage);
    ++sweep.stage_counts[static_cast<std::size_t>(stage->kind())]
                        [static_cast<std::size_t>(stage->state())];
  }
  BITSWEEP_RETURN_IF_ERROR(RestoreCells(core, sweep, record));
  Effects none;
  for (std::size_t i = 0; i < sweep.cells.size(); ++i) {
    internal::AttachCell(core, sweep, static_cast<std::int32_t>(i));
    internal::DeriveCell(none, sweep, static_cast<std::int32_t>(i));
  }
  if (!sweep.submission.request_id.empty()) {
    core.sweep_of_request.emplace(sweep.submission.request_id, sweep.id);
  }
  core.sweeps.emplace(sweep.id, std::move(owned));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Core>> Restore(const Records& records, absl::Time now) {
  auto core = std::make_unique<Core>();
  core->counters = records.counters;
  core->history = records.history;
  for (const Records::StageRecord& record : records.stages) {
    BITSWEEP_RETURN_IF_ERROR(RestoreStage(*core, record, now));
  }
  for (const Records::SweepRecord& record : records.sweeps) {
    BITSWEEP_RETURN_IF_ERROR(RestoreSweep(*core, record));
  }
  for (auto& [key, stage] : core->stages) {
    internal::Rerank(*core, *stage);
  }
  return core;
}

void OnRestored(Core& core, Effects& out, absl::Time now) {
  for (auto& [id, sweep] : core.sweeps) {
    internal::DeriveSweep(core, out, *sweep, now);
    if (!sweep->Live()) {
      continue;
    }
    out.sweeps_changed.insert(id);
    for (const ModelGroup& group : sweep->models) {
      if (group.plan == ModelGroup::Plan::kAwaited &&
          group.inspect->state() == StageState::kSucceeded) {
        out.plans.push_back({id, group.inspect->key()});
      }
    }
  }
}

}  // namespace bitsweep
