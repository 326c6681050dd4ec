#include "coordinator/domain/status.h"

#include <algorithm>
#include <charconv>

#include "coordinator/domain/text.h"

namespace bitsweep {
namespace {

/// Seconds that a stage of this kind took on average, or nullopt without history.
std::optional<double> MeanSeconds(const Core& core, StageKind kind) {
  const auto place = core.history.find(kind);
  if (place == core.history.end() || place->second.count == 0) {
    return std::nullopt;
  }
  return place->second.seconds / static_cast<double>(place->second.count);
}

std::optional<absl::Duration> EtaOf(const Core& core, const Stage& stage, absl::Time now) {
  const auto* running = std::get_if<in::Running>(&stage.payload());
  if (running == nullptr) {
    return std::nullopt;
  }
  const absl::Duration elapsed = now - running->started;
  const Progress& progress = running->progress;
  if (progress.total > 0 && progress.done > 0 && progress.done <= progress.total) {
    return elapsed * (static_cast<double>(progress.total - progress.done) /
                      static_cast<double>(progress.done));
  }
  if (const std::optional<double> mean = MeanSeconds(core, stage.kind())) {
    return std::max(absl::ZeroDuration(), absl::Seconds(*mean) - elapsed);
  }
  return std::nullopt;
}

/// What is left of the sweep, shared evenly among as many stages as run at once now.
std::optional<absl::Duration> EtaOf(const Core& core,
                                    const Sweep& sweep,
                                    const std::vector<RunningStage>& running) {
  absl::Duration work = absl::ZeroDuration();
  for (const StageKind kind : kStageKinds) {
    const auto& counts = sweep.stage_counts[static_cast<std::size_t>(kind)];
    const int remaining = counts[static_cast<std::size_t>(StageState::kWaiting)] +
                          counts[static_cast<std::size_t>(StageState::kReady)] +
                          counts[static_cast<std::size_t>(StageState::kLeased)];
    if (remaining == 0) {
      continue;
    }
    const std::optional<double> mean = MeanSeconds(core, kind);
    if (!mean) {
      return std::nullopt;
    }
    work += absl::Seconds(*mean) * remaining;
  }
  for (const RunningStage& stage : running) {
    if (stage.eta) {
      work += *stage.eta;
    }
  }
  return work / static_cast<double>(std::max<std::size_t>(1, running.size()));
}

std::vector<RunningStage> RunningOf(const Core& core, const Sweep& sweep, absl::Time now) {
  // The workers hold few stages; the sweep may have very many.
  std::vector<RunningStage> running;
  const auto add = [&](const Stage* stage) {
    if (std::find(stage->sweeps.begin(), stage->sweeps.end(), &sweep) == stage->sweeps.end()) {
      return;
    }
    const Holding& holding = *stage->holding();
    RunningStage row;
    row.stage = stage->key();
    row.kind = stage->kind();
    row.label = stage->definition().label;
    row.worker = holding.worker_name;
    row.attempt = stage->attempt();
    row.started = holding.leased_at;
    row.eta = EtaOf(core, *stage, now);
    if (const auto* state = std::get_if<in::Running>(&stage->payload())) {
      row.started = state->started;
      row.progress = state->progress;
    }
    running.push_back(std::move(row));
  };
  for (const auto& [id, worker] : core.workers) {
    std::for_each(worker.held.begin(), worker.held.end(), add);
  }
  std::for_each(core.detached.begin(), core.detached.end(), add);
  std::sort(running.begin(), running.end(), [](const RunningStage& a, const RunningStage& b) {
    return std::tie(a.started, a.stage) < std::tie(b.started, b.stage);
  });
  return running;
}

void AddNotes(const Core& core, const Sweep& sweep, SweepView& view) {
  for (const ModelGroup& group : sweep.models) {
    if (group.plan == ModelGroup::Plan::kFailed && !group.cells.empty()) {
      const Cell& cell = sweep.cells[static_cast<std::size_t>(group.cells.front())];
      view.notes.push_back(Cat("model ",
                               cell.definition.model,
                               " cannot be planned (",
                               group.cells.size(),
                               " cells): ",
                               cell.failure));
    }
  }
  if (sweep.Live() && view.workers == 0) {
    view.notes.emplace_back("no worker is connected");
  }
  const auto back =
      std::count_if(core.detached.begin(), core.detached.end(), [&](const Stage* stage) {
        return std::find(stage->sweeps.begin(), stage->sweeps.end(), &sweep) != stage->sweeps.end();
      });
  if (back > 0) {
    view.notes.push_back(Cat(back,
                             back == 1 ? " stage waits" : " stages wait",
                             " for a worker to come back after the coordinator's restart"));
  }
}

bool IsHexadecimal(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
}

}  // namespace

SweepSummary Summarize(const Sweep& sweep) {
  return {sweep.id,
          sweep.submission.name,
          sweep.state,
          sweep.created,
          sweep.ended,
          static_cast<int>(sweep.cells.size()),
          sweep.cell_counts[static_cast<std::size_t>(CellState::kSucceeded)]};
}

std::vector<SweepSummary> ListSweeps(const Core& core) {
  std::vector<SweepSummary> list;
  list.reserve(core.sweeps.size());
  for (auto place = core.sweeps.rbegin(); place != core.sweeps.rend(); ++place) {
    list.push_back(Summarize(*place->second));
  }
  return list;
}

SweepView DescribeSweep(const Core& core, const Sweep& sweep, absl::Time now) {
  SweepView view;
  view.summary = Summarize(sweep);
  for (const StageKind kind : kStageKinds) {
    for (const StageState state : kStageStates) {
      const int count =
          sweep.stage_counts[static_cast<std::size_t>(kind)][static_cast<std::size_t>(state)];
      if (count > 0) {
        view.stages.push_back({kind, state, count});
      }
    }
  }
  view.running = RunningOf(core, sweep, now);
  view.failures.assign(sweep.failures.begin(), sweep.failures.end());
  view.cached = sweep.cached;
  view.workers = ConnectedWorkers(core);
  if (sweep.Live()) {
    // Until every model is planned, there is work that no count knows of.
    const bool planned =
        std::none_of(sweep.models.begin(), sweep.models.end(), [](const ModelGroup& group) {
          return group.plan == ModelGroup::Plan::kAwaited;
        });
    view.eta = planned ? EtaOf(core, sweep, view.running) : std::nullopt;
  }
  AddNotes(core, sweep, view);
  return view;
}

std::vector<WorkerView> ListWorkers(const Core& core) {
  std::vector<WorkerView> list;
  const auto over = [](const Worker& worker) {
    return worker.state == WorkerState::kLost || worker.state == WorkerState::kGone;
  };
  const auto add = [&](const Worker& worker) {
    WorkerView view{worker.id, worker.offer, worker.state, worker.last_seen, {}};
    for (const Stage* stage : worker.held) {
      view.running.push_back(stage->key());
    }
    list.push_back(std::move(view));
  };
  for (const auto& [id, worker] : core.workers) {
    if (!over(worker)) {
      add(worker);
    }
  }
  for (auto place = core.workers.rbegin(); place != core.workers.rend(); ++place) {
    if (over(place->second)) {
      add(place->second);
    }
  }
  return list;
}

int ConnectedWorkers(const Core& core) {
  return static_cast<int>(
      std::count_if(core.workers.begin(), core.workers.end(), [](const auto& entry) {
        return entry.second.state == WorkerState::kConnected;
      }));
}

bool AnyGpuConnected(const Core& core) {
  return std::any_of(core.workers.begin(), core.workers.end(), [](const auto& entry) {
    return entry.second.state == WorkerState::kConnected && !entry.second.offer.gpus.empty();
  });
}

absl::StatusOr<SweepId> ResolveSweep(const Core& core, std::string_view text) {
  if (core.sweeps.empty()) {
    return absl::NotFoundError(Cat("no sweep \"", text, "\": none has been submitted yet"));
  }
  if (text == "latest") {
    return core.sweeps.rbegin()->first;
  }
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size() &&
      core.FindSweep(SweepId(number)) != nullptr) {
    return SweepId(number);
  }
  for (auto place = core.sweeps.rbegin(); place != core.sweeps.rend(); ++place) {
    if (place->second->submission.name == text) {
      return place->first;
    }
  }
  std::string known;
  std::size_t shown = 0;
  constexpr std::size_t kShownMax = 5;
  for (auto place = core.sweeps.rbegin(); place != core.sweeps.rend() && shown < kShownMax;
       ++place, ++shown) {
    known += Cat(
        known.empty() ? "" : ", ", place->first.value(), " (", place->second->submission.name, ")");
  }
  return absl::NotFoundError(
      Cat("no sweep \"", text, "\": the newest are ", known, "; \"latest\" is the newest"));
}

absl::StatusOr<StageKey> ResolveStage(const Core& core, std::string_view text) {
  if (text.size() < kStagePrefixMin || !IsHexadecimal(text)) {
    return absl::InvalidArgumentError(Cat("stage \"",
                                          text,
                                          "\": a key or its first ",
                                          kStagePrefixMin,
                                          " or more lower-case hexadecimal digits are wanted"));
  }
  std::vector<StageKey> found;
  for (const auto& [key, stage] : core.stages) {
    if (std::string_view(key.value()).substr(0, text.size()) == text) {
      found.push_back(key);
    }
  }
  if (found.empty()) {
    return absl::NotFoundError(Cat("no stage begins with ", text));
  }
  if (found.size() > 1) {
    std::sort(found.begin(), found.end());
    return absl::InvalidArgumentError(Cat(found.size(),
                                          " stages begin with ",
                                          text,
                                          ": ",
                                          found[0].value(),
                                          ", ",
                                          found[1].value(),
                                          found.size() > 2 ? ", ..." : ""));
  }
  return found.front();
}

}  // namespace bitsweep
