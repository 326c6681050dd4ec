// CheckInvariants: everything that is kept twice, counted again.
#include <algorithm>
#include <map>

#include "coordinator/domain/core.h"
#include "coordinator/domain/text.h"
#include "coordinator/domain/transition.h"

#include "proto/base/status_macros.h"

namespace bitsweep {
namespace {

absl::Status Broken(std::string message) {
  return absl::InternalError(message);
}

bool Blocks(const Stage& stage) {
  return stage.FailedForGood() || stage.state() == StageState::kBlocked;
}

absl::Status CheckGraph(const Stage& stage) {
  const std::string name = Cat("stage ", stage.key().value(), " (", ToString(stage.state()), ")");
  int missing = 0;
  bool blocked = false;
  double longest = 0;
  for (const Stage* upstream : stage.upstream) {
    missing += upstream->state() != StageState::kSucceeded ? 1 : 0;
    blocked = blocked || Blocks(*upstream);
  }
  for (const Stage* downstream : stage.downstream) {
    longest = std::max(longest, downstream->critical_path);
  }
  if (missing != stage.upstream_missing) {
    return Broken(Cat(name, ": upstream_missing ", stage.upstream_missing, ", counted ", missing));
  }
  if (stage.critical_path != stage.definition().cost_estimate + longest) {
    return Broken(Cat(name,
                      ": critical path ",
                      stage.critical_path,
                      ", computed ",
                      stage.definition().cost_estimate + longest));
  }
  if (stage.state() == StageState::kReady && missing != 0) {
    return Broken(Cat(name, " misses ", missing, " inputs"));
  }
  if (stage.state() == StageState::kWaiting && (missing == 0 || blocked)) {
    return Broken(Cat(name, blocked ? ": an upstream blocks it" : ": nothing to wait for"));
  }
  if (stage.state() == StageState::kBlocked && !blocked) {
    return Broken(Cat(name, ": no upstream blocks it"));
  }
  return absl::OkStatus();
}

absl::Status CheckIndexes(const Core& core, const Stage& stage) {
  const std::string name = Cat("stage ", stage.key().value(), " (", ToString(stage.state()), ")");
  bool runnable = false;
  bool live = false;
  for (const Sweep* sweep : stage.sweeps) {
    live = live || sweep->Live();
    runnable = runnable || (sweep->Live() && !sweep->paused);
  }
  if (runnable != stage.runnable) {
    return Broken(Cat(name, ": runnable is ", stage.runnable, ", should be ", runnable));
  }
  const bool indexed = stage.state() == StageState::kReady && runnable;
  const auto& members = core.ready.at(static_cast<std::size_t>(stage.needs_class)).stages;
  const bool found = std::find(members.begin(), members.end(), &stage) != members.end();
  if (stage.indexed != indexed || found != indexed) {
    return Broken(Cat(
        name, ": indexed is ", stage.indexed, ", in the index ", found, ", should be ", indexed));
  }
  const auto* failed = std::get_if<in::Failed>(&stage.payload());
  const bool retry = failed != nullptr && failed->retry_at.has_value();
  const bool in_retries = std::any_of(core.retries.begin(),
                                      core.retries.end(),
                                      [&](const auto& entry) { return entry.second == &stage; });
  if (retry != in_retries) {
    return Broken(Cat(name, ": retry due ", retry, ", in the list ", in_retries));
  }
  if (const Holding* holding = stage.holding()) {
    const Worker* worker = core.FindWorker(holding->worker);
    const auto times =
        worker == nullptr ? 0 : std::count(worker->held.begin(), worker->held.end(), &stage);
    const bool detached = core.detached.contains(const_cast<Stage*>(&stage));
    if (times + (detached ? 1 : 0) != 1) {
      return Broken(Cat(name, ": its worker holds it ", times, " times, detached ", detached));
    }
  }
  // A stage that no live sweep wants may rest in any state but one that costs a worker its time.
  if (!live && stage.holding() != nullptr) {
    return Broken(Cat(name, " is held and wanted by no live sweep"));
  }
  return absl::OkStatus();
}

absl::Status CheckSweep(const Sweep& sweep) {
  const std::string name = Cat("sweep ", sweep.id.value());
  decltype(sweep.stage_counts) stages{};
  for (const Stage* stage : sweep.stages) {
    ++stages[static_cast<std::size_t>(stage->kind())][static_cast<std::size_t>(stage->state())];
    if (std::count(stage->sweeps.begin(), stage->sweeps.end(), &sweep) != 1) {
      return Broken(Cat(name, ": stage ", stage->key().value(), " does not refer back once"));
    }
  }
  if (stages != sweep.stage_counts) {
    return Broken(Cat(name, ": stage counts do not match its stages"));
  }
  decltype(sweep.cell_counts) cells{};
  for (const Cell& cell : sweep.cells) {
    ++cells[static_cast<std::size_t>(cell.state)];
    if (cell.grade != nullptr &&
        (cell.grade->state() == StageState::kSucceeded) != (cell.state == CellState::kSucceeded)) {
      return Broken(Cat(name,
                        ", cell ",
                        cell.definition.id,
                        " is ",
                        ToString(cell.state),
                        ", its grade stage ",
                        ToString(cell.grade->state())));
    }
  }
  if (cells != sweep.cell_counts) {
    return Broken(Cat(name, ": cell counts do not match its cells"));
  }
  if (sweep.Live() == sweep.ended.has_value()) {
    return Broken(
        Cat(name, " is ", ToString(sweep.state), " and ended is ", sweep.ended.has_value()));
  }
  return absl::OkStatus();
}

absl::Status CheckWorker(const Worker& worker) {
  int slots = 0;
  int gpus = 0;
  std::int64_t bytes = 0;
  for (const Stage* stage : worker.held) {
    const Holding* holding = stage->holding();
    if (holding == nullptr || holding->worker != worker.id) {
      return Broken(Cat("worker ",
                        worker.id.value(),
                        " lists ",
                        stage->key().value(),
                        ", which it does not hold"));
    }
    const StageNeeds& needs = stage->definition().needs;
    slots += needs.gpus > 0 ? 0 : 1;
    gpus += needs.gpus;
    bytes += needs.host_bytes;
  }
  if (slots != worker.slots_used || gpus != worker.gpus_used || bytes != worker.host_bytes_used) {
    return Broken(Cat("worker ", worker.id.value(), ": its use of slots, GPUs or memory is wrong"));
  }
  const bool over = worker.state == WorkerState::kLost || worker.state == WorkerState::kGone;
  if (over && !worker.held.empty()) {
    return Broken(
        Cat("worker ", worker.id.value(), " is ", ToString(worker.state), " and holds stages"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckInvariants(const Core& core) {
  decltype(core.stage_counts) counts{};
  std::size_t indexed = 0;
  std::map<std::int64_t, StageKey> leases;
  for (const auto& [key, stage] : core.stages) {
    BITSWEEP_RETURN_IF_ERROR(CheckGraph(*stage));
    BITSWEEP_RETURN_IF_ERROR(CheckIndexes(core, *stage));
    ++counts[static_cast<std::size_t>(stage->kind())][static_cast<std::size_t>(stage->state())];
    indexed += stage->indexed ? 1 : 0;
    if (const Holding* holding = stage->holding()) {
      const auto [place, added] = leases.emplace(holding->lease.value(), key);
      if (!added || holding->lease.value() >= core.counters.next_lease) {
        return Broken(Cat("lease ",
                          holding->lease.value(),
                          " of ",
                          key.value(),
                          " is used twice or not yet handed out"));
      }
    }
  }
  if (counts != core.stage_counts) {
    return Broken("the totals of stages do not match the stages");
  }
  std::size_t listed = 0;
  for (const ReadyClass& ready : core.ready) {
    listed += ready.stages.size();
  }
  if (listed != indexed) {
    return Broken(Cat("the ready index lists ", listed, " stages, ", indexed, " are marked"));
  }
  for (const auto& [id, sweep] : core.sweeps) {
    BITSWEEP_RETURN_IF_ERROR(CheckSweep(*sweep));
  }
  for (const auto& [id, worker] : core.workers) {
    BITSWEEP_RETURN_IF_ERROR(CheckWorker(worker));
  }
  return absl::OkStatus();
}

}  // namespace bitsweep
