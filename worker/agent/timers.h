// How the agent asks to be called later. An interface, so that tests advance time by hand.
// Runs on: agent loop.
#pragma once

#include <functional>

#include <absl/time/time.h>

namespace bitsweep {

class Timers {
 public:
  virtual ~Timers() = default;
  /// Calls `call` once on the agent loop, not before `delay` has passed. There is no way to cancel:
  /// a caller that may lose interest checks that when called.
  virtual void After(absl::Duration delay, std::function<void()> call) = 0;
};

}  // namespace bitsweep
