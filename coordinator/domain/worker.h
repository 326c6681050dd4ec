// A worker as the coordinator sees it: its offer, whether it is there, what it holds. Runs on: core
// strand.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include <absl/time/time.h>

#include "proto/base/ids.h"
#include "proto/contract/session.h"

namespace bitsweep {

class Stage;

/// kDisconnected: the stream broke, the worker may return with its stages before it counts as lost.
enum class WorkerState {
  kConnected,
  kDisconnected,
  kLost,
  kGone
};
inline constexpr std::array kWorkerStates = {
    WorkerState::kConnected, WorkerState::kDisconnected, WorkerState::kLost, WorkerState::kGone};
std::string_view ToString(WorkerState state);

struct Worker {
  WorkerId id;  // A new one for each registration.
  WorkerOffer offer;
  WorkerState state = WorkerState::kConnected;
  absl::Time registered, last_seen;
  std::vector<Stage*> held;  // Leased or running there.
  int slots_used = 0, gpus_used = 0;
  std::int64_t host_bytes_used = 0;
  std::unordered_set<std::int64_t>
      artifacts;  // Serials of stages whose artifacts its cache should have: a hint.

  int SlotsFree() const { return offer.slots - slots_used; }
  int GpusFree() const { return static_cast<int>(offer.gpus.size()) - gpus_used; }
};

/// The threads that a stage on this worker may use: the cores are shared evenly among what can run
/// at once.
int CoresPerStage(const WorkerOffer& offer);

}  // namespace bitsweep
