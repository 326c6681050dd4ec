#include "worker/agent/agent.h"

#include <algorithm>
#include <spdlog/spdlog.h>
#include <utility>

#include "worker/agent/limits.h"

#include "proto/contract/limits.h"

namespace bitsweep {
namespace {

/// How logs name an attempt: twelve digits of a key are enough for people.
std::string Short(const Fence& fence) {
  return fence.stage.value().substr(0, 12) + "/" + std::to_string(fence.attempt);
}

}  // namespace

Agent::Agent(AgentOptions options,
             CoordinatorClient& client,
             StageRunner& runner,
             ResultJournal& journal,
             Timers& timers,
             const Clock& clock)
    : options_(std::move(options)),
      client_(client),
      runner_(runner),
      journal_(journal),
      timers_(timers),
      clock_(clock),
      jitter_(options_.jitter_seed),
      heartbeat_interval_(kHeartbeatInterval) {}

void Agent::Start() {
  for (auto& [fence, result] : journal_.Load()) {
    spdlog::info("stage {} has a result from before the restart", Short(fence));
    attempts_.emplace(fence, Finished{std::move(result)});
  }
  Connect();
}

void Agent::Stop(const std::string& reason) {
  if (stopping_) {
    return;
  }
  stopping_ = true;
  stop_reason_ = reason;
  spdlog::info("stopping: {}", reason);
  timers_.After(kStopTimeout, [this] {
    if (!stopped_) {
      spdlog::error("the stop took more than {}, giving up", absl::FormatDuration(kStopTimeout));
      Stopped();
    }
  });
  std::erase_if(attempts_,
                [](const auto& entry) { return std::holds_alternative<Waiting>(entry.second); });
  for (const auto& [fence, attempt] : attempts_) {
    if (std::holds_alternative<Running>(attempt)) {
      runner_.Cancel(fence, reason);
    }
  }
  if (!IsAnyRunning()) {
    Leave();
  }
}

void Agent::Leave() {
  if (std::exchange(leaving_, true)) {
    return;
  }
  if (session_ == Session::kNone) {
    Stopped();
    return;
  }
  Send(Goodbye{.reason = stop_reason_});
  client_.Close();
}

void Agent::Stopped() {
  if (!std::exchange(stopped_, true)) {
    options_.on_stopped();
  }
}

void Agent::Connect() {
  session_ = Session::kOpening;
  ++session_number_;
  client_.Connect({.offer = options_.offer(), .held = Held()});
}

void Agent::OnMessage(const CoordinatorMessage& message) {
  std::visit([this](const auto& body) { Handle(body); }, message);
}

void Agent::OnDisconnected(const absl::Status& status) {
  session_ = Session::kNone;
  ++session_number_;
  if (leaving_) {
    Stopped();
    return;
  }
  const absl::Duration delay = NextReconnectDelay();
  spdlog::warn("no session with the coordinator ({}), next try in {}",
               status.ToString(),
               absl::FormatDuration(delay));
  timers_.After(delay, [this, number = session_number_] {
    if (number == session_number_ && !leaving_) {
      Connect();
    }
  });
}

absl::Duration Agent::NextReconnectDelay() {
  const int doublings = std::min(failed_connects_, 16);
  ++failed_connects_;
  const absl::Duration delay =
      std::min(kReconnectDelayMin * static_cast<double>(1 << doublings), kReconnectDelayMax);
  // Half of it is random: workers that lost one coordinator do not return in one instant.
  return delay * (0.5 + 0.5 * std::uniform_real_distribution<double>()(jitter_));
}

void Agent::Handle(const Registered& message) {
  if (session_ == Session::kNone || leaving_) {
    return;
  }
  session_ = Session::kOpen;
  failed_connects_ = 0;
  heartbeat_interval_ = message.heartbeat_interval;
  // Every attempt of ours is older than this session, so whatever is not in `keep` is not wanted.
  for (const Fence& fence : Held()) {
    if (std::find(message.keep.begin(), message.keep.end(), fence) == message.keep.end()) {
      Abandon(fence, "the coordinator no longer wants this attempt");
    }
  }
  options_.on_registered(message.worker);
  Reattach();
  ScheduleHeartbeat();
  CheckDrained();
}

void Agent::Reattach() {
  for (auto& [fence, attempt] : attempts_) {
    if (auto* running = std::get_if<Running>(&attempt); running != nullptr && !running->abandoned) {
      // What was said in the broken session may not have arrived.
      if (running->started) {
        Send(StageStarted{fence});
      }
      SendProgress(*running);
    } else if (const auto* finished = std::get_if<Finished>(&attempt)) {
      SendResult(finished->result);
    }
  }
}

void Agent::Handle(const Assignment& message) {
  const Fence& fence = message.fence;
  if (const auto known = attempts_.find(fence); known != attempts_.end()) {
    if (const auto* finished = std::get_if<Finished>(&known->second)) {
      SendResult(finished->result);
    }
    return;
  }
  if (stopping_ || draining_) {
    Send(StageFailed{.fence = fence,
                     .failure = FailureClass::kPreempted,
                     .message = stopping_ ? "the worker is stopping" : "the worker is draining",
                     .log_tail = ""});
    return;
  }
  // A newer lease of a stage ends what is left of an older one here: its result would be refused.
  for (const Fence& held : Held()) {
    if (held.stage == fence.stage) {
      Abandon(held, "the stage was leased again");
    }
  }
  spdlog::info("stage {} leased: {}", Short(fence), message.stage.label);
  attempts_.emplace(fence, Waiting{message});
  StartWaiting(fence.stage);
}

bool Agent::IsStageRunning(const StageKey& stage) const {
  return std::any_of(attempts_.begin(), attempts_.end(), [&](const auto& entry) {
    return entry.first.stage == stage && std::holds_alternative<Running>(entry.second);
  });
}

bool Agent::IsAnyRunning() const {
  return std::any_of(attempts_.begin(), attempts_.end(), [](const auto& entry) {
    return std::holds_alternative<Running>(entry.second);
  });
}

void Agent::StartWaiting(const StageKey& stage) {
  if (IsStageRunning(stage)) {
    return;
  }
  for (auto& [fence, attempt] : attempts_) {
    if (fence.stage == stage && std::holds_alternative<Waiting>(attempt)) {
      const Assignment assignment = std::move(std::get<Waiting>(attempt).assignment);
      attempt = Running{};
      runner_.Start(assignment);
      return;
    }
  }
}

void Agent::Handle(const CancelAttempt& message) {
  Abandon(message.fence, message.reason);
  CheckDrained();
}

void Agent::Abandon(const Fence& fence, const std::string& reason) {
  const auto found = attempts_.find(fence);
  if (found == attempts_.end()) {
    return;
  }
  spdlog::info("stage {} is given up: {}", Short(fence), reason);
  if (auto* running = std::get_if<Running>(&found->second)) {
    if (!std::exchange(running->abandoned, true)) {
      runner_.Cancel(fence, reason);
    }
    return;
  }
  if (std::holds_alternative<Finished>(found->second)) {
    journal_.Remove(fence);
  }
  attempts_.erase(found);
}

void Agent::Handle(const ResultAcknowledged& message) {
  const auto found = attempts_.find(message.fence);
  if (found == attempts_.end() || !std::holds_alternative<Finished>(found->second)) {
    return;
  }
  spdlog::info("stage {}: the coordinator {} the result",
               Short(message.fence),
               message.stale ? "did not want" : "has");
  journal_.Remove(message.fence);
  attempts_.erase(found);
  CheckDrained();
}

void Agent::Handle(const Drain& message) {
  spdlog::info("draining: {}", message.reason);
  draining_ = true;
  stop_reason_ = message.reason;
  CheckDrained();
}

void Agent::CheckDrained() {
  if (draining_ && !stopping_ && attempts_.empty()) {
    Stop("drained: " + stop_reason_);
  }
}

void Agent::OnStarted(const Fence& fence) {
  const auto found = attempts_.find(fence);
  if (found == attempts_.end()) {
    return;
  }
  if (auto* running = std::get_if<Running>(&found->second)) {
    running->started = true;
    if (!running->abandoned) {
      Send(StageStarted{fence});
    }
  }
}

void Agent::OnProgress(const StageProgress& progress) {
  const auto found = attempts_.find(progress.fence);
  if (found == attempts_.end()) {
    return;
  }
  if (auto* running = std::get_if<Running>(&found->second); running && !running->abandoned) {
    running->latest = progress;
    if (progress.phase != running->phase_sent ||
        clock_.Now() - running->sent >= kProgressInterval) {
      SendProgress(*running);
    }
  }
}

void Agent::SendProgress(Running& running) {
  if (session_ == Session::kOpen && running.latest) {
    running.phase_sent = running.latest->phase;
    running.sent = clock_.Now();
    Send(*std::exchange(running.latest, std::nullopt));
  }
}

void Agent::OnEnded(const StageEnd& end) {
  const Fence fence = std::visit([](const auto& value) { return value.fence; }, end);
  const auto found = attempts_.find(fence);
  if (found == attempts_.end() || !std::holds_alternative<Running>(found->second)) {
    return;
  }
  const bool abandoned = std::get<Running>(found->second).abandoned;
  if (abandoned || std::holds_alternative<StageDropped>(end)) {
    attempts_.erase(found);
  } else {
    const auto* succeeded = std::get_if<StageSucceeded>(&end);
    StageResult result =
        succeeded ? StageResult(*succeeded) : StageResult(std::get<StageFailed>(end));
    if (const absl::Status status = journal_.Put(result); !status.ok()) {
      // The result still goes out; only a crash of both processes before it arrives would lose it.
      spdlog::error("stage {}: the result could not be kept: {}", Short(fence), status.ToString());
    }
    SendResult(result);
    found->second = Finished{std::move(result)};
  }
  StartWaiting(fence.stage);
  if (stopping_ && !IsAnyRunning()) {
    Leave();
  }
  CheckDrained();
}

void Agent::SendResult(const StageResult& result) {
  std::visit([this](const auto& value) { Send(value); }, result);
}

void Agent::Send(const WorkerMessage& message) {
  if (session_ == Session::kOpen) {
    client_.Send(message);
  }
}

void Agent::ScheduleHeartbeat() {
  timers_.After(heartbeat_interval_, [this, number = session_number_] {
    if (number != session_number_ || session_ != Session::kOpen || leaving_) {
      return;
    }
    Send(Heartbeat{.held = Held()});
    for (auto& [fence, attempt] : attempts_) {
      if (auto* running = std::get_if<Running>(&attempt)) {
        SendProgress(*running);
      }
    }
    ScheduleHeartbeat();
  });
}

std::vector<Fence> Agent::Held() const {
  std::vector<Fence> held;
  for (const auto& [fence, attempt] : attempts_) {
    const auto* running = std::get_if<Running>(&attempt);
    if (running == nullptr || !running->abandoned) {
      held.push_back(fence);
    }
  }
  return held;
}

}  // namespace bitsweep
