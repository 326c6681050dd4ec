// The agent: keeps one session with the coordinator, runs what it is leased, and does not forget a
// result before the coordinator has it. Stages go on while the coordinator is away.
//
//   Assignment -> waiting (an older attempt of the stage still dies) -> running -> finished -> gone
//                                                                          |  acknowledged  ^
//                                                                          +----------------+
//   cancelled or not wanted any more: running -> abandoned -> gone (no result is sent)
//
// Only logic: processes, sockets, time and files are behind interfaces. Runs on: agent loop.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <variant>
#include <vector>

#include "worker/agent/coordinator_client.h"
#include "worker/agent/result_journal.h"
#include "worker/agent/stage_runner.h"
#include "worker/agent/timers.h"

#include "proto/base/clock.h"

namespace bitsweep {

struct AgentOptions {
  /// Asked at every registration, so that a new model folder is offered after a reconnect.
  std::function<WorkerOffer()> offer;
  std::uint64_t jitter_seed = 0;  // Spreads the reconnects of a fleet.
  std::function<void(WorkerId)> on_registered = [](WorkerId) {};
  /// No stage runs, the session has ended: the process may exit. Called once.
  std::function<void()> on_stopped = [] {};
};

class Agent : public SessionListener, public StageListener {
 public:
  /// The references must outlive the agent.
  Agent(AgentOptions options,
        CoordinatorClient& client,
        StageRunner& runner,
        ResultJournal& journal,
        Timers& timers,
        const Clock& clock);

  /// Loads results that an earlier process left, and connects.
  void Start();
  /// Ends running stages, says goodbye, then on_stopped. A second call does nothing.
  void Stop(const std::string& reason);

  void OnMessage(const CoordinatorMessage& message) override;
  void OnDisconnected(const absl::Status& status) override;
  void OnStarted(const Fence& fence) override;
  void OnProgress(const StageProgress& progress) override;
  void OnEnded(const StageEnd& end) override;

  /// The attempts that this worker holds, ascending: what heartbeats carry.
  std::vector<Fence> Held() const;

 private:
  enum class Session {
    kNone,
    kOpening,
    kOpen
  };
  struct Waiting {
    Assignment assignment;
  };
  struct Running {
    bool started = false;
    bool abandoned = false;
    std::optional<StageProgress> latest;  // Not sent yet.
    std::string phase_sent;
    absl::Time sent = absl::InfinitePast();
  };
  struct Finished {
    StageResult result;
  };
  using Attempt = std::variant<Waiting, Running, Finished>;

  void Handle(const Registered& message);
  void Handle(const Assignment& message);
  void Handle(const CancelAttempt& message);
  void Handle(const ResultAcknowledged& message);
  void Handle(const Drain& message);

  void Connect();
  void Reattach();
  void Abandon(const Fence& fence, const std::string& reason);
  bool IsStageRunning(const StageKey& stage) const;
  bool IsAnyRunning() const;
  void StartWaiting(const StageKey& stage);
  void ScheduleHeartbeat();
  void SendProgress(Running& running);
  void Send(const WorkerMessage& message);
  void SendResult(const StageResult& result);
  void CheckDrained();
  void Leave();
  void Stopped();
  absl::Duration NextReconnectDelay();

  const AgentOptions options_;
  CoordinatorClient& client_;
  StageRunner& runner_;
  ResultJournal& journal_;
  Timers& timers_;
  const Clock& clock_;
  std::mt19937_64 jitter_;

  std::map<Fence, Attempt> attempts_;
  Session session_ = Session::kNone;
  std::uint64_t session_number_ = 0;  // Timers of an earlier session notice that they are late.
  absl::Duration heartbeat_interval_;
  int failed_connects_ = 0;
  bool draining_ = false;
  bool stopping_ = false;
  bool leaving_ = false;
  bool stopped_ = false;
  std::string stop_reason_;
};

}  // namespace bitsweep
