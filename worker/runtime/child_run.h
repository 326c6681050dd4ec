// Runs one tool on one spec to its end: reads its events and its log, ends it when it is cancelled,
// hangs or breaks the protocol, and says what became of it.
// Blocking; any thread, which the child is tied to.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include <absl/time/time.h>

#include "worker/runtime/child_event.h"
#include "worker/runtime/children.h"
#include "worker/runtime/limits.h"
#include "worker/runtime/stage_log.h"

namespace bitsweep {

struct ChildOptions {
  std::vector<std::string> argv;  // `--events 3` is added.
  std::map<std::string, std::string> environment;
  absl::Duration hang_after = kHangAfter;    // Without any event.
  absl::Duration grace = kTerminationGrace;  // From SIGTERM to SIGKILL.
  absl::Duration exit_grace = kExitGrace;    // From `done` or `failed` to the exit.
};

struct ChildOutcome {
  enum class Kind {
    kDone,
    kFailed,
    kCancelled
  };
  Kind kind = Kind::kFailed;
  std::string summary = "{}";                 // kDone
  FailureClass failure = FailureClass::kBug;  // kFailed
  std::string message;                        // kFailed
  std::string build;                          // As the child's hello said; may be empty.
  std::int64_t peak_bytes = 0;
};

/// No process of the child's is left when it returns.
ChildOutcome RunChild(const ChildOptions& options,
                      Children& children,
                      StageLog& log,
                      const std::function<void(const ProgressEvent&)>& on_progress,
                      std::stop_token stop);

}  // namespace bitsweep
