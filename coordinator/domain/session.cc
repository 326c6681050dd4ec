// Workers come, speak and go.
#include <algorithm>
#include <set>
#include <utility>

#include "coordinator/domain/handlers.h"
#include "coordinator/domain/result.h"
#include "coordinator/domain/text.h"
#include "coordinator/domain/transition.h"

namespace bitsweep {
namespace {

using internal::Hold;
using internal::LoseAttempt;
using internal::NoteFailure;
using internal::RecordCounters;
using internal::Release;
using internal::Transition;

/// The stage whose current attempt this is, or nullptr.
Stage* Current(const Core& core, const Fence& fence) {
  Stage* stage = core.FindStage(fence.stage);
  const bool current = stage != nullptr && stage->holding() != nullptr && stage->fence() == fence;
  return current ? stage : nullptr;
}

/// Whether this attempt ended its stage: its result is in, and saying so again is right.
bool EndedBy(const Core& core, const Fence& fence) {
  const Stage* stage = core.FindStage(fence.stage);
  if (stage == nullptr || stage->attempt() != fence.attempt) {
    return false;
  }
  if (const auto* succeeded = std::get_if<in::Succeeded>(&stage->payload())) {
    return succeeded->lease == fence.lease;
  }
  const auto* failed = std::get_if<in::Failed>(&stage->payload());
  return failed != nullptr && failed->lease == fence.lease;
}

void Attach(Core& core, Effects& out, Worker& worker, Stage& stage, absl::Time now) {
  if (stage.holding()->worker == worker.id && !stage.holding()->reattach_by) {
    stage.Confirm(now);
    return;
  }
  Release(core, stage);
  core.detached.erase(&stage);
  stage.Reattach(worker.id, worker.offer.name, now);
  Hold(worker, stage);
  out.changes.push_back(change::AttemptReattached{stage.key(), stage.attempt(), worker.id});
}

void SetWorkerState(Effects& out, Worker& worker, WorkerState state) {
  if (worker.state != state) {
    worker.state = state;
    out.changes.push_back(change::WorkerUpdated{worker.id, state, worker.last_seen});
  }
}

void LoseAll(Core& core,
             Effects& out,
             Worker& worker,
             FailureClass failure,
             std::string_view message,
             absl::Time now) {
  while (!worker.held.empty()) {
    LoseAttempt(core, out, *worker.held.back(), failure, message, now);
  }
}

void CountStale(Core& core, Effects& out) {
  ++core.stale_messages;
  out.probes.push_back(probe::StaleMessage{});
}

/// A message about an attempt that is not (or no longer) the stage's current one.
void OnForeign(Core& core, Effects& out, WorkerId worker, const Fence& fence, bool result) {
  if (result && EndedBy(core, fence)) {
    out.Tell(worker, ResultAcknowledged{fence, false});
    return;
  }
  CountStale(core, out);
  if (result) {
    out.Tell(worker, ResultAcknowledged{fence, true});
  } else {
    out.Tell(worker, CancelAttempt{fence, "the attempt is no longer current"});
  }
}

void Start(Core& core, Effects& out, Stage& stage, absl::Time now) {
  if (stage.state() == StageState::kLeased) {
    out.changes.push_back(change::AttemptStarted{stage.key(), stage.attempt(), now});
    Transition(core, out, stage, on::Start{now}, now);
  }
}

/// What every message about an attempt has in common. Returns the stage, or nullptr when the
/// message must not be applied.
Stage* Admit(
    Core& core, Effects& out, Worker& worker, const Fence& fence, bool result, absl::Time now) {
  Stage* stage = Current(core, fence);
  if (stage == nullptr) {
    OnForeign(core, out, worker.id, fence, result);
    return nullptr;
  }
  Attach(core, out, worker, *stage, now);
  // A start that was said into a broken connection is implied by what follows it.
  Start(core, out, *stage, now);
  return stage;
}

change::AttemptEnded Ended(const Stage& stage, StageState state, absl::Time now) {
  change::AttemptEnded ended;
  ended.stage = stage.key();
  ended.attempt = stage.attempt();
  ended.state = state;
  ended.at = now;
  return ended;
}

struct Speech {
  Core& core;
  Effects& out;
  Worker& worker;
  std::vector<VerdictRow> verdicts;
  absl::Time now;

  void operator()(const StageStarted& message) {
    Admit(core, out, worker, message.fence, false, now);
  }

  void operator()(const StageProgress& message) {
    Stage* stage = Admit(core, out, worker, message.fence, false, now);
    if (stage != nullptr) {
      stage->SetProgress({message.phase, message.unit, message.done, message.total});
      for (const Sweep* sweep : stage->sweeps) {
        out.sweeps_changed.insert(sweep->id);
      }
    }
  }

  void operator()(const StageSucceeded& message) {
    Stage* stage = Admit(core, out, worker, message.fence, true, now);
    if (stage == nullptr) {
      return;
    }
    if (const absl::Status good = CheckResult(message.artifact, verdicts); !good.ok()) {
      (*this)(StageFailed{
          message.fence, FailureClass::kBug, std::string(good.message()), message.log_tail});
      return;
    }
    const absl::Duration took = now - std::get<in::Running>(stage->payload()).started;
    change::AttemptEnded ended = Ended(*stage, StageState::kSucceeded, now);
    ended.log_tail = message.log_tail;
    ended.build = message.build;
    ended.peak_host_bytes = message.peak_host_bytes;
    ended.peak_gpu_bytes = message.peak_gpu_bytes;
    out.changes.push_back(std::move(ended));
    auto artifact = std::make_shared<const ArtifactManifest>(message.artifact);
    out.changes.push_back(change::ArtifactPublished{stage->key(), artifact});
    if (stage->kind() == StageKind::kGrade) {
      out.changes.push_back(change::VerdictsIngested{stage->key(), std::move(verdicts)});
    }
    Release(core, *stage);
    worker.artifacts.insert(stage->serial());
    Records::History& history = core.history[stage->kind()];
    ++history.count;
    history.seconds += absl::ToDoubleSeconds(took);
    out.probes.push_back(
        probe::StageFinished{stage->kind(), StageState::kSucceeded, took, std::nullopt});
    Transition(core, out, *stage, on::Succeed{std::move(artifact)}, now);
    out.Tell(worker.id, ResultAcknowledged{message.fence, false});
  }

  void operator()(const StageFailed& message) {
    Stage* stage = Admit(core, out, worker, message.fence, true, now);
    if (stage == nullptr) {
      return;
    }
    const Holding holding = *stage->holding();
    const absl::Duration took = now - std::get<in::Running>(stage->payload()).started;
    stage->CountFailure(message.failure);
    const std::optional<absl::Time> retry_at = RetryAt(message.failure, stage->failures(), now);
    NoteFailure(core, out, *stage, holding, message.failure, message.message, !retry_at, now);
    change::AttemptEnded ended = Ended(*stage, StageState::kFailed, now);
    ended.failure = message.failure;
    ended.message = message.message;
    ended.log_tail = message.log_tail;
    ended.final = !retry_at;
    out.changes.push_back(std::move(ended));
    out.probes.push_back(
        probe::StageFinished{stage->kind(), StageState::kFailed, took, message.failure});
    Release(core, *stage);
    Transition(core, out, *stage, on::Fail{message.failure, message.message, now, retry_at}, now);
    out.Tell(worker.id, ResultAcknowledged{message.fence, false});
  }

  void operator()(const Heartbeat& message) {
    for (const Fence& fence : message.held) {
      if (Stage* stage = Current(core, fence)) {
        Attach(core, out, worker, *stage, now);
      } else if (EndedBy(core, fence)) {
        // The acknowledgement and this heartbeat crossed, or the connection took it.
        out.Tell(worker.id, ResultAcknowledged{fence, false});
      } else {
        out.Tell(worker.id, CancelAttempt{fence, "the attempt is no longer current"});
      }
    }
  }

  void operator()(const Goodbye& message) {
    LoseAll(core,
            out,
            worker,
            FailureClass::kPreempted,
            Cat("worker ",
                worker.offer.name,
                " stopped",
                message.reason.empty() ? "" : ": ",
                message.reason),
            now);
    SetWorkerState(out, worker, WorkerState::kGone);
  }
};

/// Stages that the coordinator thinks an earlier registration of this name holds.
std::set<Stage*> HeldBefore(Core& core, const std::string& name) {
  std::set<Stage*> before;
  if (const auto place = core.worker_of_name.find(name); place != core.worker_of_name.end()) {
    if (const Worker* earlier = core.FindWorker(place->second)) {
      before.insert(earlier->held.begin(), earlier->held.end());
    }
  }
  for (Stage* stage : core.detached) {
    if (stage->holding()->worker_name == name) {
      before.insert(stage);
    }
  }
  return before;
}

void Supersede(Core& core, Effects& out, const std::string& name) {
  const auto place = core.worker_of_name.find(name);
  Worker* earlier = place != core.worker_of_name.end() ? core.FindWorker(place->second) : nullptr;
  if (earlier == nullptr || earlier->state == WorkerState::kGone) {
    return;
  }
  if (earlier->state == WorkerState::kConnected) {
    out.closed.push_back(earlier->id);
  }
  SetWorkerState(out, *earlier, WorkerState::kGone);
}

}  // namespace

WorkerId OnWorkerRegistered(Core& core,
                            Effects& out,
                            const WorkerOffer& offer,
                            const std::vector<Fence>& held,
                            absl::Time now) {
  const Counters before = core.counters;
  std::set<Stage*> missing = HeldBefore(core, offer.name);
  const WorkerId id(core.counters.next_worker++);
  Worker& worker = core.workers[id];
  worker.id = id;
  worker.offer = offer;
  worker.registered = worker.last_seen = now;
  out.changes.push_back(change::WorkerAdded{id, offer, now});

  Registered answer{id, kHeartbeatInterval, {}};
  std::vector<Fence> ended;
  for (const Fence& fence : held) {
    if (Stage* stage = Current(core, fence)) {
      Attach(core, out, worker, *stage, now);
      missing.erase(stage);
      answer.keep.push_back(fence);
    } else if (EndedBy(core, fence)) {
      ended.push_back(fence);
    }
  }
  out.Tell(id, std::move(answer));
  for (const Fence& fence : ended) {
    out.Tell(id, ResultAcknowledged{fence, false});
  }
  for (Stage* stage : missing) {
    LoseAttempt(core,
                out,
                *stage,
                FailureClass::kWorkerLost,
                Cat("worker ", offer.name, " came back without the attempt"),
                now);
  }
  Supersede(core, out, offer.name);
  core.worker_of_name[offer.name] = id;
  RecordCounters(core, out, before);
  return id;
}

absl::Status OnWorkerMessage(Core& core,
                             Effects& out,
                             WorkerId id,
                             const WorkerMessage& message,
                             std::vector<VerdictRow> verdicts,
                             absl::Time now) {
  Worker* worker = core.FindWorker(id);
  if (worker == nullptr || worker->state == WorkerState::kGone) {
    return absl::NotFoundError(Cat("worker ", id.value(), " is not registered"));
  }
  worker->last_seen = now;
  SetWorkerState(out, *worker, WorkerState::kConnected);
  std::visit(Speech{core, out, *worker, std::move(verdicts), now}, message);
  return absl::OkStatus();
}

void OnWorkerDisconnected(Core& core, Effects& out, WorkerId id, absl::Time) {
  Worker* worker = core.FindWorker(id);
  if (worker != nullptr && worker->state == WorkerState::kConnected) {
    SetWorkerState(out, *worker, WorkerState::kDisconnected);
  }
}

}  // namespace bitsweep
