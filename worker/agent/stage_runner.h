// Runs stages. The agent owns this interface and worker/runtime implements it with child processes,
// so that the agent's tests need none.
// Runs on: agent loop, both directions.
#pragma once

#include <string>
#include <variant>

#include "proto/contract/session.h"

namespace bitsweep {

/// The attempt was cancelled: its processes are gone and there is no result.
struct StageDropped {
  Fence fence;
};
using StageEnd = std::variant<StageSucceeded, StageFailed, StageDropped>;

/// What a runner tells the agent. Calls come on the agent loop, never from inside a call of
/// StageRunner.
class StageListener {
 public:
  virtual ~StageListener() = default;
  virtual void OnStarted(const Fence& fence) = 0;
  virtual void OnProgress(const StageProgress& progress) = 0;
  /// Once for each Start, and the last call about the attempt. No process of the attempt is left.
  virtual void OnEnded(const StageEnd& end) = 0;
};

class StageRunner {
 public:
  virtual ~StageRunner() = default;
  /// REQUIRES: no attempt of the same stage is running here (they would share an output folder).
  virtual void Start(const Assignment& assignment) = 0;
  /// Ends the attempt soon: OnEnded follows, with StageDropped unless the attempt had just ended by
  /// itself. Nothing when the attempt is not running.
  virtual void Cancel(const Fence& fence, const std::string& reason) = 0;
};

}  // namespace bitsweep
