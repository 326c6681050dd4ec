// Time passes, and the scheduler's placements are carried out.
#include <algorithm>
#include <utility>
#include <vector>

#include "coordinator/domain/handlers.h"
#include "coordinator/domain/text.h"
#include "coordinator/domain/transition.h"

#include "proto/contract/limits.h"

namespace bitsweep {
namespace {

using internal::Hold;
using internal::LoseAttempt;
using internal::RecordCounters;
using internal::Transition;

/// When the coordinator slept, or the clock jumped, nobody could be heard: the gap is not held
/// against the workers.
void ForgiveStall(Core& core, absl::Time now) {
  if (!core.last_tick) {
    core.last_tick = now;
    return;
  }
  const absl::Duration gap = now - *core.last_tick;
  core.last_tick = now;
  if (gap >= absl::ZeroDuration() && gap <= kStallAfter) {
    return;
  }
  const absl::Duration shift = gap - kTickInterval;
  for (auto& [id, worker] : core.workers) {
    worker.last_seen = std::min(now, worker.last_seen + shift);
    for (Stage* stage : worker.held) {
      stage->Confirm(std::min(now, stage->holding()->confirmed + shift));
    }
  }
  for (Stage* stage : core.detached) {
    stage->ExpectReattach(*stage->holding()->reattach_by + shift);
  }
}

void LoseWorkers(Core& core, Effects& out, absl::Time now) {
  for (auto& [id, worker] : core.workers) {
    const bool there =
        worker.state == WorkerState::kConnected || worker.state == WorkerState::kDisconnected;
    if (!there || now - worker.last_seen <= kWorkerLostAfter) {
      continue;
    }
    worker.state = WorkerState::kLost;
    out.changes.push_back(change::WorkerUpdated{id, worker.state, worker.last_seen});
    out.probes.push_back(probe::WorkerLost{});
    ++core.workers_lost;
    while (!worker.held.empty()) {
      LoseAttempt(core,
                  out,
                  *worker.held.back(),
                  FailureClass::kWorkerLost,
                  Cat("worker ",
                      worker.offer.name,
                      " was last heard ",
                      absl::FormatDuration(now - worker.last_seen),
                      " ago"),
                  now);
    }
  }
}

void LoseUnconfirmed(Core& core, Effects& out, absl::Time now) {
  std::vector<Stage*> lost;
  for (const auto& [id, worker] : core.workers) {
    for (Stage* stage : worker.held) {
      if (now - stage->holding()->confirmed > kUnconfirmedAfter) {
        lost.push_back(stage);
      }
    }
  }
  for (Stage* stage : lost) {
    const Fence fence = stage->fence();
    const WorkerId worker = stage->holding()->worker;
    LoseAttempt(core,
                out,
                *stage,
                FailureClass::kWorkerLost,
                Cat("worker ",
                    stage->holding()->worker_name,
                    " no longer names the attempt in its heartbeats"),
                now);
    out.Tell(worker, CancelAttempt{fence, "the attempt was not confirmed"});
  }
}

void LoseDetached(Core& core, Effects& out, absl::Time now) {
  std::vector<Stage*> lost;
  for (Stage* stage : core.detached) {
    if (*stage->holding()->reattach_by <= now) {
      lost.push_back(stage);
    }
  }
  // By age, so that the order does not depend on addresses.
  std::sort(lost.begin(), lost.end(), [](const Stage* a, const Stage* b) {
    return a->serial() < b->serial();
  });
  for (Stage* stage : lost) {
    LoseAttempt(core,
                out,
                *stage,
                FailureClass::kWorkerLost,
                Cat("worker ",
                    stage->holding()->worker_name,
                    " did not come back after the coordinator's restart"),
                now);
  }
}

void RetryDue(Core& core, Effects& out, absl::Time now) {
  while (!core.retries.empty() && core.retries.begin()->first <= now) {
    Stage* stage = core.retries.begin()->second;
    Transition(core, out, *stage, on::Retry{}, now);
  }
}

/// Forgets the oldest registrations that have ended.
void ForgetWorkers(Core& core) {
  std::size_t ended = 0;
  for (const auto& [id, worker] : core.workers) {
    const bool over = worker.state == WorkerState::kGone || worker.state == WorkerState::kLost;
    ended += over ? 1 : 0;
  }
  for (auto place = core.workers.begin();
       place != core.workers.end() && ended > kWorkersRemembered;) {
    const Worker& worker = place->second;
    if (worker.state != WorkerState::kGone && worker.state != WorkerState::kLost) {
      ++place;
      continue;
    }
    if (const auto name = core.worker_of_name.find(worker.offer.name);
        name != core.worker_of_name.end() && name->second == worker.id) {
      core.worker_of_name.erase(name);
    }
    place = core.workers.erase(place);
    --ended;
  }
}

bool HasRoom(const Worker& worker, const StageNeeds& needs) {
  const bool free = needs.gpus > 0 ? worker.GpusFree() >= needs.gpus : worker.SlotsFree() > 0;
  return free && worker.offer.host_bytes - worker.host_bytes_used >= needs.host_bytes;
}

/// The manifests of the upstreams that the stage reads.
std::map<std::string, ArtifactManifest> InputsOf(const Core& core, const Stage& stage) {
  std::map<std::string, ArtifactManifest> artifacts;
  for (const StageInput& input : stage.definition().inputs) {
    if (input.source != StageInput::Source::kArtifact) {
      continue;
    }
    const Stage* upstream = core.FindStage(StageKey(input.value));
    if (upstream != nullptr && upstream->artifact() != nullptr) {
      artifacts.emplace(input.value, *upstream->artifact());
    }
  }
  return artifacts;
}

void Lease(Core& core, Effects& out, Stage& stage, Worker& worker, int cores, absl::Time now) {
  const LeaseId lease(core.counters.next_lease++);
  Transition(core,
             out,
             stage,
             on::Assign{{lease, worker.id, worker.offer.name, now, now, std::nullopt}},
             now);
  Hold(worker, stage);
  for (const Stage* upstream : stage.upstream) {
    worker.artifacts.insert(upstream->serial());
  }
  out.changes.push_back(change::AttemptLeased{stage.key(), stage.attempt(), lease, worker.id, now});
  out.probes.push_back(probe::StageLeased{stage.kind()});
  out.Tell(worker.id, Assignment{stage.fence(), stage.definition(), InputsOf(core, stage), cores});
}

}  // namespace

void OnTick(Core& core, Effects& out, absl::Time now) {
  ForgiveStall(core, now);
  LoseWorkers(core, out, now);
  LoseUnconfirmed(core, out, now);
  LoseDetached(core, out, now);
  RetryDue(core, out, now);
  ForgetWorkers(core);
}

int OnAssign(Core& core, Effects& out, const Plan& plan, absl::Time now) {
  const Counters before = core.counters;
  int leased = 0;
  for (const Placement& placement : plan) {
    Stage* stage = core.FindStage(placement.stage);
    Worker* worker = core.FindWorker(placement.worker);
    const bool possible = stage != nullptr && stage->state() == StageState::kReady &&
                          stage->runnable && worker != nullptr &&
                          worker->state == WorkerState::kConnected &&
                          HasRoom(*worker, stage->definition().needs);
    if (possible) {
      Lease(core, out, *stage, *worker, placement.cores, now);
      ++leased;
    }
  }
  RecordCounters(core, out, before);
  return leased;
}

}  // namespace bitsweep
