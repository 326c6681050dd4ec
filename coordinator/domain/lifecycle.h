// The lifecycle of a stage: one table of edges. Handlers, SQL checks and the README diagram ask
// this table and nothing else decides which change of state is allowed. Constants only: any thread.
//
// Invariants (static_asserts below): a result is undone only by losing its artifact; nothing that a
// worker says leaves an ended state; every state that is not an end can be cancelled; one edge for
// each (state, event).
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "proto/contract/stage.h"

namespace bitsweep {

enum class StageEvent {
  kInputsReady,      // The last missing upstream succeeded.
  kInputsLost,       // The artifact of an upstream is gone: it is made again first.
  kUpstreamFailed,   // An upstream failed for good, or is itself blocked.
  kUpstreamRetried,  // No upstream is failed for good or blocked any more.
  kAssign,           // Leased to a worker.
  kStart,            // The worker has started the child process.
  kLoseWorker,       // The worker is lost, said goodbye, or no longer holds the attempt.
  kSucceed,          // The result and its artifact are in.
  kFail,             // The attempt failed; a retry may be due later.
  kRetry,            // The backoff has passed, or a person or a new sweep asks again.
  kInvalidate,       // The artifact is lost, corrupt or no longer trusted.
  kCancel,           // No live sweep wants the stage.
  kRequest,          // A live sweep wants a cancelled stage.
};
inline constexpr std::array kStageEvents = {StageEvent::kInputsReady,
                                            StageEvent::kInputsLost,
                                            StageEvent::kUpstreamFailed,
                                            StageEvent::kUpstreamRetried,
                                            StageEvent::kAssign,
                                            StageEvent::kStart,
                                            StageEvent::kLoseWorker,
                                            StageEvent::kSucceed,
                                            StageEvent::kFail,
                                            StageEvent::kRetry,
                                            StageEvent::kInvalidate,
                                            StageEvent::kCancel,
                                            StageEvent::kRequest};
std::string_view ToString(StageEvent event);

struct StageEdge {
  StageState from;
  StageEvent event;
  StageState to;
};

// clang-format off
inline constexpr std::array kStageEdges = {
    StageEdge{StageState::kWaiting, StageEvent::kInputsReady, StageState::kReady},
    StageEdge{StageState::kWaiting, StageEvent::kUpstreamFailed, StageState::kBlocked},
    StageEdge{StageState::kBlocked, StageEvent::kUpstreamRetried, StageState::kWaiting},
    StageEdge{StageState::kReady, StageEvent::kInputsLost, StageState::kWaiting},
    StageEdge{StageState::kReady, StageEvent::kAssign, StageState::kLeased},
    StageEdge{StageState::kLeased, StageEvent::kStart, StageState::kRunning},
    // A lease lost before its start was no attempt; after it, the next lease is attempt + 1.
    StageEdge{StageState::kLeased, StageEvent::kLoseWorker, StageState::kReady},
    StageEdge{StageState::kRunning, StageEvent::kLoseWorker, StageState::kReady},
    StageEdge{StageState::kRunning, StageEvent::kSucceed, StageState::kSucceeded},
    StageEdge{StageState::kRunning, StageEvent::kFail, StageState::kFailed},
    StageEdge{StageState::kFailed, StageEvent::kRetry, StageState::kReady},
    StageEdge{StageState::kSucceeded, StageEvent::kInvalidate, StageState::kReady},
    StageEdge{StageState::kWaiting, StageEvent::kCancel, StageState::kCancelled},
    StageEdge{StageState::kBlocked, StageEvent::kCancel, StageState::kCancelled},
    StageEdge{StageState::kReady, StageEvent::kCancel, StageState::kCancelled},
    StageEdge{StageState::kLeased, StageEvent::kCancel, StageState::kCancelled},
    StageEdge{StageState::kRunning, StageEvent::kCancel, StageState::kCancelled},
    // Only while a retry is due.
    StageEdge{StageState::kFailed, StageEvent::kCancel, StageState::kCancelled},
    StageEdge{StageState::kCancelled, StageEvent::kRequest, StageState::kWaiting},
};
// clang-format on

/// Where `event` leads from `from`, or nullopt when the table has no such edge.
constexpr std::optional<StageState> NextState(StageState from, StageEvent event) {
  for (const StageEdge& edge : kStageEdges) {
    if (edge.from == from && edge.event == event) {
      return edge.to;
    }
  }
  return std::nullopt;
}

/// Whether nothing more happens to a stage in this state by itself. A failed stage with a retry due
/// is the exception that Stage::Ended() knows.
constexpr bool IsEnd(StageState state) {
  return state == StageState::kSucceeded || state == StageState::kFailed ||
         state == StageState::kCancelled;
}

/// Whether a worker holds the stage.
constexpr bool IsHeld(StageState state) {
  return state == StageState::kLeased || state == StageState::kRunning;
}

namespace internal {

constexpr bool EveryPairHasOneEdge() {
  for (const StageEdge& a : kStageEdges) {
    int same = 0;
    for (const StageEdge& b : kStageEdges) {
      same += (a.from == b.from && a.event == b.event) ? 1 : 0;
    }
    if (same != 1) {
      return false;
    }
  }
  return true;
}
constexpr bool NoWorkerEventLeavesAnEnd() {
  constexpr std::array kFromWorkers = {
      StageEvent::kStart, StageEvent::kLoseWorker, StageEvent::kSucceed, StageEvent::kFail};
  for (const StageState state : kStageStates) {
    for (const StageEvent event : kFromWorkers) {
      if (IsEnd(state) && NextState(state, event)) {
        return false;
      }
    }
  }
  return true;
}
constexpr bool EveryLiveStateCanBeCancelled() {
  for (const StageState state : kStageStates) {
    if (!IsEnd(state) && NextState(state, StageEvent::kCancel) != StageState::kCancelled) {
      return false;
    }
  }
  return true;
}
constexpr bool OnlyReadyIsAssigned() {
  for (const StageState state : kStageStates) {
    if (NextState(state, StageEvent::kAssign).has_value() != (state == StageState::kReady)) {
      return false;
    }
  }
  return true;
}

}  // namespace internal

static_assert(internal::EveryPairHasOneEdge());
static_assert(internal::NoWorkerEventLeavesAnEnd());
static_assert(internal::EveryLiveStateCanBeCancelled());
static_assert(internal::OnlyReadyIsAssigned());
static_assert(!NextState(StageState::kSucceeded, StageEvent::kCancel),
              "a result outlives the sweep that asked for it");
static_assert(!NextState(StageState::kSucceeded, StageEvent::kLoseWorker),
              "a lost worker cannot undo a result");
static_assert(!NextState(StageState::kSucceeded, StageEvent::kRetry),
              "a success is never retried, only invalidated");
static_assert(!NextState(StageState::kLeased, StageEvent::kSucceed),
              "an attempt starts before it ends");
static_assert(!NextState(StageState::kWaiting, StageEvent::kAssign), "inputs come before leases");
static_assert(!NextState(StageState::kCancelled, StageEvent::kRetry),
              "only a sweep that wants it brings a stage back");

/// The table as a Mermaid state diagram, the one in coordinator/README.md (a test compares).
std::string LifecycleDiagram();

}  // namespace bitsweep
