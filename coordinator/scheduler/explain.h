// Why a stage is not running (or what it is doing): typed reasons and the text that `bitsweep
// explain` shows. Pure; reads a Core, so it runs on the core strand.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <absl/time/time.h>

#include "coordinator/domain/core.h"

namespace bitsweep {

enum class ReasonKind {
  kUpstream,        // waits for an upstream stage
  kUpstreamFailed,  // blocked by one that failed
  kNoWorkers,       // nobody is connected
  kNoMatch,      // workers are connected, none can ever run it; one reason for each worker follows
  kWorkerLacks,  // what one worker lacks
  kQueued,       // fitting workers are busy: its place in the queue
  kPaused,       // every sweep that wants it is paused
  kRetryDue,     // failed, will be tried again
  kFailed,       // failed for good
  kRunning,
  kLeased,
  kDetached,
  kSucceeded,
  kCancelled,
};
std::string_view ToString(ReasonKind kind);

struct Reason {
  ReasonKind kind = ReasonKind::kQueued;
  std::string text;  // One line, without the final stop.
};

struct Explanation {
  std::vector<Reason> reasons;  // The deciding one first.
  std::string text;             // Several lines, for people.
};

Explanation Explain(const Core& core, const Stage& stage, absl::Time now);

/// One line for each need that no connected worker meets, over the ready stages: the notes of a
/// sweep's status.
std::vector<std::string> UnmetByEverybody(const Core& core, const Sweep& sweep);

}  // namespace bitsweep
