// Ctrl-C as a value: while a scope lives, SIGINT and SIGTERM set a flag instead of ending the
// process, so that the terminal is restored and the user is told that the sweep goes on. Runs on:
// the main thread; one scope at a time.
#pragma once

#include <csignal>

namespace bitsweep::cli {

class InterruptScope {
 public:
  InterruptScope();
  ~InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;
  /// Whether a signal has come since the scope began.
  bool interrupted() const;

 private:
  struct sigaction old_interrupt_ {};
  struct sigaction old_terminate_ {};
};

}  // namespace bitsweep::cli
