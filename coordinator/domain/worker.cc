#include "coordinator/domain/worker.h"

#include <algorithm>

namespace bitsweep {

std::string_view ToString(WorkerState state) {
  switch (state) {
    case WorkerState::kConnected:
      return "connected";
    case WorkerState::kDisconnected:
      return "disconnected";
    case WorkerState::kLost:
      return "lost";
    case WorkerState::kGone:
      return "gone";
  }
  return "unknown";
}

int CoresPerStage(const WorkerOffer& offer) {
  const int at_once = std::max({1, offer.slots, static_cast<int>(offer.gpus.size())});
  return std::max(1, offer.cores / at_once);
}

}  // namespace bitsweep
