#include "coordinator/domain/lifecycle.h"

#include <string>

#include "coordinator/domain/text.h"

namespace bitsweep {

std::string_view ToString(StageEvent event) {
  switch (event) {
    case StageEvent::kInputsReady:
      return "inputs_ready";
    case StageEvent::kInputsLost:
      return "inputs_lost";
    case StageEvent::kUpstreamFailed:
      return "upstream_failed";
    case StageEvent::kUpstreamRetried:
      return "upstream_retried";
    case StageEvent::kAssign:
      return "assign";
    case StageEvent::kStart:
      return "start";
    case StageEvent::kLoseWorker:
      return "lose_worker";
    case StageEvent::kSucceed:
      return "succeed";
    case StageEvent::kFail:
      return "fail";
    case StageEvent::kRetry:
      return "retry";
    case StageEvent::kInvalidate:
      return "invalidate";
    case StageEvent::kCancel:
      return "cancel";
    case StageEvent::kRequest:
      return "request";
  }
  return "unknown";
}

std::string LifecycleDiagram() {
  std::string text = "stateDiagram-v2\n    [*] --> waiting\n";
  for (const StageEdge& edge : kStageEdges) {
    text += Cat(
        "    ", ToString(edge.from), " --> ", ToString(edge.to), " : ", ToString(edge.event), "\n");
  }
  return text;
}

}  // namespace bitsweep
