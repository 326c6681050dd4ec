// How attempts are held, and how they end without a result.
#include <algorithm>
#include <string>
#include <utility>

#include "coordinator/domain/transition.h"

namespace bitsweep::internal {

void Hold(Worker& worker, Stage& stage) {
  worker.held.push_back(&stage);
  const StageNeeds& needs = stage.definition().needs;
  worker.gpus_used += needs.gpus;
  worker.slots_used += needs.gpus > 0 ? 0 : 1;
  worker.host_bytes_used += needs.host_bytes;
}

void Release(Core& core, Stage& stage) {
  const Holding* holding = stage.holding();
  Worker* worker = holding != nullptr ? core.FindWorker(holding->worker) : nullptr;
  if (worker == nullptr) {
    return;
  }
  const auto place = std::find(worker->held.begin(), worker->held.end(), &stage);
  if (place == worker->held.end()) {
    return;
  }
  worker->held.erase(place);
  const StageNeeds& needs = stage.definition().needs;
  worker->gpus_used -= needs.gpus;
  worker->slots_used -= needs.gpus > 0 ? 0 : 1;
  worker->host_bytes_used -= needs.host_bytes;
}

void NoteFailure(Core& core,
                 Effects& out,
                 const Stage& stage,
                 const Holding& holding,
                 FailureClass failure,
                 std::string_view message,
                 bool final,
                 absl::Time now) {
  ++core.failure_counts.at(static_cast<std::size_t>(failure));
  const FailureNote note{stage.key(),
                         stage.kind(),
                         stage.definition().label,
                         stage.attempt(),
                         failure,
                         std::string(message),
                         holding.worker_name,
                         now,
                         final};
  for (Sweep* sweep : stage.sweeps) {
    sweep->failures.push_front(note);
    if (sweep->failures.size() > kFailureNotesMax) {
      sweep->failures.pop_back();
    }
    out.sweeps_changed.insert(sweep->id);
  }
}

void LoseAttempt(Core& core,
                 Effects& out,
                 Stage& stage,
                 FailureClass failure,
                 std::string_view message,
                 absl::Time now) {
  const Holding holding = *stage.holding();
  stage.CountFailure(failure);
  const bool final = !RetryAt(failure, stage.failures(), now).has_value();
  if (stage.state() == StageState::kLeased && !final) {
    // It never began: no attempt, no failure to show, but it counts, or it could go on for ever.
    ++core.failure_counts.at(static_cast<std::size_t>(failure));
    out.changes.push_back(change::AttemptDropped{stage.key(), stage.attempt()});
    Release(core, stage);
    Transition(core, out, stage, on::LoseWorker{}, now);
    return;
  }
  NoteFailure(core, out, stage, holding, failure, message, final, now);
  change::AttemptEnded ended;
  ended.stage = stage.key();
  ended.attempt = stage.attempt();
  ended.failure = failure;
  ended.message = std::string(message);
  ended.final = final;
  ended.at = now;
  out.changes.push_back(std::move(ended));
  Release(core, stage);
  if (!final) {
    Transition(core, out, stage, on::LoseWorker{}, now);
    return;
  }
  out.probes.push_back(
      probe::StageFinished{stage.kind(), StageState::kFailed, now - holding.leased_at, failure});
  if (stage.state() == StageState::kLeased) {
    Transition(core, out, stage, on::Start{now}, now);
  }
  Transition(core, out, stage, on::Fail{failure, std::string(message), now, std::nullopt}, now);
}

void RecordCounters(const Core& core, Effects& out, const Counters& before) {
  if (core.counters != before) {
    out.changes.push_back(change::CountersAdvanced{core.counters});
  }
}

}  // namespace bitsweep::internal
