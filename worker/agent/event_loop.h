// The agent loop: one thread that runs everything of the agent's state, so that it needs no lock.
// Asio stays in the .cc. Post and Stop: any thread; the rest: the thread that calls Run.
#pragma once

#include <functional>
#include <memory>

#include "worker/agent/timers.h"

namespace bitsweep {

class EventLoop : public Timers {
 public:
  EventLoop();
  ~EventLoop() override;

  /// Runs posted calls, timers and signals until Stop.
  void Run();
  void Stop();
  /// Queues `call`; calls run in the order of their posting.
  void Post(std::function<void()> call);
  void After(absl::Duration delay, std::function<void()> call) override;
  /// Calls `call` for every SIGTERM and SIGINT from now on.
  void OnStopSignal(std::function<void(int signal)> call);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bitsweep
