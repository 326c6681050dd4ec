// The coordinator's whole state in memory: what handlers change and queries read. Plain data, no
// clock, no I/O, no lock. Runs on: core strand. Durable truth is the store; a Core is rebuilt from
// it by Restore().
//
// Invariants, checked by CheckInvariants(): counters equal what they count; the ready index holds
// exactly the ready stages that a live, unpaused sweep wants; a lease has one holder; a waiting
// stage misses an input; derived states are up to date.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include "coordinator/domain/change.h"
#include "coordinator/domain/effects.h"
#include "coordinator/domain/stage.h"
#include "coordinator/domain/sweep.h"
#include "coordinator/domain/worker.h"

#include "proto/contract/limits.h"

namespace bitsweep {

// After a restart, how long workers have to come back with what they hold: their reconnect backoff
// is at most 5 s, and the rest is for a machine that is busy.
inline constexpr absl::Duration kReattachGrace = absl::Seconds(15);
// The app calls OnTick this often. A gap of more than kStallAfter means that the coordinator slept
// or the clock jumped, and the gap is not held against the workers.
inline constexpr absl::Duration kTickInterval = absl::Milliseconds(500);
inline constexpr absl::Duration kStallAfter = absl::Seconds(3);
// A connected worker whose heartbeats do not name an attempt for so long no longer has it.
inline constexpr absl::Duration kUnconfirmedAfter = absl::Seconds(60);
static_assert(kStallAfter < kWorkerLostAfter);

/// Best first: priority, then the oldest sweep, then the longest chain of work behind it, then age.
struct ReadyOrder {
  bool operator()(const Stage* a, const Stage* b) const;
};

/// Ready stages with equal kind and needs: what one worker may run, it may run all. Keeps
/// scheduling from looking at every stage.
struct ReadyClass {
  StageKind kind = StageKind::kInspect;
  StageNeeds needs;
  std::set<Stage*, ReadyOrder> stages;
};

struct Core {
  Core() = default;
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  std::map<SweepId, std::unique_ptr<Sweep>> sweeps;
  std::unordered_map<std::string, SweepId> sweep_of_request;
  std::unordered_map<StageKey, std::unique_ptr<Stage>> stages;
  std::map<WorkerId, Worker> workers;  // Gone and lost ones stay until kWorkersRemembered.
  std::unordered_map<std::string, WorkerId> worker_of_name;  // The newest registration.
  std::vector<ReadyClass> ready;                             // Index: Stage::needs_class.
  std::set<std::pair<absl::Time, Stage*>> retries;  // Failed stages whose retry is due then.
  std::set<Stage*> detached;  // Held, but their worker has not come back after the restart.
  Counters counters;

  std::array<std::array<std::int64_t, kStageStates.size()>, kStageKinds.size()> stage_counts{};
  std::map<StageKind, Records::History> history;  // Succeeded attempts.
  std::array<std::int64_t, kFailureClasses.size()>
      failure_counts{};             // Since the start of the process.
  std::int64_t stale_messages = 0;  // Since the start of the process.
  std::int64_t workers_lost = 0;
  std::optional<absl::Time> last_tick;

  /// nullptr when there is none.
  Stage* FindStage(const StageKey& key) const;
  Sweep* FindSweep(SweepId id) const;
  Worker* FindWorker(WorkerId id);
  const Worker* FindWorker(WorkerId id) const;
};

// Ended registrations shown beside live workers; older ones are only in the database.
inline constexpr std::size_t kWorkersRemembered = 64;

/// INTERNAL names the first invariant that does not hold and its object. Cost: O(everything); for
/// tests.
absl::Status CheckInvariants(const Core& core);

/// Rebuilds a Core. Stages that were leased or running stay so and wait kReattachGrace for their
/// worker. DATA_LOSS names the record that contradicts another. Call OnRestored next, for the
/// effects.
absl::StatusOr<std::unique_ptr<Core>> Restore(const Records& records, absl::Time now);

}  // namespace bitsweep
