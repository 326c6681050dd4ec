#include "coordinator/scheduler/explain.h"

#include <algorithm>
#include <set>

#include "coordinator/domain/text.h"
#include "coordinator/scheduler/matching.h"

namespace bitsweep {
namespace {

// Enough digits to tell stages apart in a text, and more than ResolveStage asks for.
constexpr std::size_t kShortKey = 12;
// Workers whose shortcomings are listed one by one.
constexpr std::size_t kWorkersListedMax = 16;

std::string Name(const Stage& stage) {
  const std::string& label = stage.definition().label;
  return Cat(label.empty() ? std::string(ToString(stage.kind())) : label,
             " (",
             stage.key().value().substr(0, kShortKey),
             ")");
}

std::string Percent(const Stage& stage) {
  const auto* running = std::get_if<in::Running>(&stage.payload());
  if (running == nullptr || running->progress.total <= 0) {
    return "";
  }
  return Cat(" ", 100 * running->progress.done / running->progress.total, "%");
}

void ExplainUpstream(const Stage& stage, std::vector<Reason>& reasons) {
  for (const Stage* upstream : stage.upstream) {
    if (upstream->state() == StageState::kSucceeded) {
      continue;
    }
    const bool bad = upstream->FailedForGood() || upstream->state() == StageState::kBlocked;
    if (stage.state() == StageState::kBlocked && !bad) {
      continue;
    }
    std::string text = Cat(bad ? "blocked by " : "waits for ",
                           Name(*upstream),
                           ": ",
                           ToString(upstream->state()),
                           Percent(*upstream));
    if (const auto* failed = std::get_if<in::Failed>(&upstream->payload())) {
      text += Cat(" with ", ToString(failed->failure), ": ", failed->message);
    }
    reasons.push_back({bad ? ReasonKind::kUpstreamFailed : ReasonKind::kUpstream, text});
  }
}

/// Stages ahead of this one that compete for the same workers: of its own class exactly, of other
/// classes not counted.
std::size_t Ahead(const Core& core, const Stage& stage) {
  const auto& members = core.ready[static_cast<std::size_t>(stage.needs_class)].stages;
  const auto place = members.find(const_cast<Stage*>(&stage));
  return static_cast<std::size_t>(std::distance(members.begin(), place));
}

void ExplainReady(const Core& core, const Stage& stage, std::vector<Reason>& reasons) {
  if (!stage.runnable) {
    const bool paused = std::any_of(
        stage.sweeps.begin(), stage.sweeps.end(), [](const Sweep* sweep) { return sweep->Live(); });
    reasons.push_back(
        {ReasonKind::kPaused,
         paused ? "paused: every live sweep that wants it is paused" : "no live sweep wants it"});
    return;
  }
  const StageNeeds& needs = stage.definition().needs;
  std::vector<Reason> lacks;
  std::vector<const Worker*> fitting;
  std::size_t connected = 0;
  for (const auto& [id, worker] : core.workers) {
    if (worker.state != WorkerState::kConnected) {
      continue;
    }
    ++connected;
    const std::vector<UnmetNeed> unmet = UnmetNeeds(stage.kind(), needs, worker.offer);
    if (unmet.empty()) {
      fitting.push_back(&worker);
      continue;
    }
    std::string text = Cat("worker ", worker.offer.name, " ");
    for (std::size_t i = 0; i < unmet.size(); ++i) {
      text += Cat(i == 0 ? "" : ", ", unmet[i].text);
    }
    lacks.push_back({ReasonKind::kWorkerLacks, text});
  }
  if (connected == 0) {
    reasons.push_back({ReasonKind::kNoWorkers, "no worker is connected"});
    return;
  }
  if (fitting.empty()) {
    reasons.push_back({ReasonKind::kNoMatch,
                       Cat("no connected worker can run ",
                           ToString(stage.kind()),
                           " v",
                           needs.semantics,
                           " with these needs")});
    lacks.resize(std::min(lacks.size(), kWorkersListedMax));
    reasons.insert(reasons.end(), lacks.begin(), lacks.end());
    return;
  }
  const std::size_t ahead = Ahead(core, stage);
  reasons.push_back({ReasonKind::kQueued,
                     Cat("in the queue behind ",
                         ahead,
                         ahead == 1 ? " stage" : " stages",
                         " of its kind; ",
                         fitting.size(),
                         fitting.size() == 1 ? " worker" : " workers",
                         " can run it")});
}

void ExplainHeld(const Stage& stage, absl::Time now, std::vector<Reason>& reasons) {
  const Holding& holding = *stage.holding();
  if (holding.reattach_by) {
    reasons.push_back(
        {ReasonKind::kDetached,
         Cat("the coordinator was restarted; worker ",
             holding.worker_name,
             " has ",
             absl::FormatDuration(absl::Trunc(*holding.reattach_by - now, absl::Seconds(1))),
             " to come back with attempt ",
             stage.attempt())});
    return;
  }
  if (const auto* running = std::get_if<in::Running>(&stage.payload())) {
    const Progress& progress = running->progress;
    reasons.push_back(
        {ReasonKind::kRunning,
         Cat("running on worker ",
             holding.worker_name,
             " for ",
             absl::FormatDuration(absl::Trunc(now - running->started, absl::Seconds(1))),
             progress.total > 0 ? Cat(": ",
                                      progress.phase,
                                      " ",
                                      progress.done,
                                      "/",
                                      progress.total,
                                      " ",
                                      progress.unit)
                                : std::string())});
    return;
  }
  reasons.push_back(
      {ReasonKind::kLeased,
       Cat("leased to worker ", holding.worker_name, ", which has not started it yet")});
}

void ExplainFailed(const Stage& stage, absl::Time now, std::vector<Reason>& reasons) {
  const auto& failed = std::get<in::Failed>(stage.payload());
  const std::string what = Cat(
      "attempt ", stage.attempt(), " failed with ", ToString(failed.failure), ": ", failed.message);
  if (failed.retry_at) {
    reasons.push_back(
        {ReasonKind::kRetryDue,
         Cat("tried again in ",
             absl::FormatDuration(std::max(absl::ZeroDuration(),
                                           absl::Trunc(*failed.retry_at - now, absl::Seconds(1)))),
             "; ",
             what)});
    return;
  }
  reasons.push_back({ReasonKind::kFailed, Cat("failed for good; ", what)});
}

}  // namespace

std::string_view ToString(ReasonKind kind) {
  switch (kind) {
    case ReasonKind::kUpstream:
      return "upstream";
    case ReasonKind::kUpstreamFailed:
      return "upstream_failed";
    case ReasonKind::kNoWorkers:
      return "no_workers";
    case ReasonKind::kNoMatch:
      return "no_match";
    case ReasonKind::kWorkerLacks:
      return "worker_lacks";
    case ReasonKind::kQueued:
      return "queued";
    case ReasonKind::kPaused:
      return "paused";
    case ReasonKind::kRetryDue:
      return "retry_due";
    case ReasonKind::kFailed:
      return "failed";
    case ReasonKind::kRunning:
      return "running";
    case ReasonKind::kLeased:
      return "leased";
    case ReasonKind::kDetached:
      return "detached";
    case ReasonKind::kSucceeded:
      return "succeeded";
    case ReasonKind::kCancelled:
      return "cancelled";
  }
  return "unknown";
}

Explanation Explain(const Core& core, const Stage& stage, absl::Time now) {
  Explanation explanation;
  std::vector<Reason>& reasons = explanation.reasons;
  switch (stage.state()) {
    case StageState::kWaiting:
    case StageState::kBlocked:
      ExplainUpstream(stage, reasons);
      break;
    case StageState::kReady:
      ExplainReady(core, stage, reasons);
      break;
    case StageState::kLeased:
    case StageState::kRunning:
      ExplainHeld(stage, now, reasons);
      break;
    case StageState::kSucceeded:
      reasons.push_back({ReasonKind::kSucceeded,
                         stage.Imported() ? std::string("imported: the work was done elsewhere")
                                          : Cat("succeeded at attempt ", stage.attempt())});
      break;
    case StageState::kFailed:
      ExplainFailed(stage, now, reasons);
      break;
    case StageState::kCancelled:
      reasons.push_back({ReasonKind::kCancelled, "cancelled: no live sweep wants it"});
      break;
  }
  explanation.text = Cat(Name(stage), " is ", ToString(stage.state()), "\n");
  for (const Reason& reason : reasons) {
    explanation.text += Cat("  ", reason.text, "\n");
  }
  return explanation;
}

std::vector<std::string> UnmetByEverybody(const Core& core, const Sweep& sweep) {
  std::vector<std::string> notes;
  const auto connected = [](const auto& entry) {
    return entry.second.state == WorkerState::kConnected;
  };
  if (std::none_of(core.workers.begin(), core.workers.end(), connected)) {
    return notes;  // The status says so once, for all stages.
  }
  for (const ReadyClass& ready : core.ready) {
    const bool fits = std::any_of(core.workers.begin(), core.workers.end(), [&](const auto& entry) {
      return connected(entry) && CanRun(ready.kind, ready.needs, entry.second.offer);
    });
    if (fits) {
      continue;
    }
    const auto mine = [&](const Stage* stage) {
      return std::find(stage->sweeps.begin(), stage->sweeps.end(), &sweep) != stage->sweeps.end();
    };
    const auto stage = std::find_if(ready.stages.begin(), ready.stages.end(), mine);
    if (stage == ready.stages.end()) {
      continue;
    }
    // What every worker lacks, in common.
    std::set<std::string> texts;
    for (const auto& entry : core.workers) {
      if (connected(entry)) {
        for (const UnmetNeed& unmet : UnmetNeeds(ready.kind, ready.needs, entry.second.offer)) {
          texts.insert(unmet.text);
        }
      }
    }
    std::string joined;
    for (const std::string& text : texts) {
      joined += Cat(joined.empty() ? "" : "; ", text);
    }
    notes.push_back(Cat("no connected worker can run ", Name(**stage), ": ", joined));
  }
  return notes;
}

}  // namespace bitsweep
