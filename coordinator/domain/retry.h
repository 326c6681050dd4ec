// What happens after a failed attempt, by class of failure: one table. Constants and pure
// functions: any thread. Why a table: whether a failure is the machine's or the study's decides if
// trying again can help, and a person must be able to read that decision in one place.
#pragma once

#include <array>
#include <cstddef>
#include <optional>

#include <absl/time/time.h>

#include "proto/contract/stage.h"

namespace bitsweep {

struct RetryPolicy {
  FailureClass failure;
  int retries_max;       // Of this class, since the last person's retry.
  absl::Duration first;  // Backoff before the first retry; doubles with each one of the class.
  absl::Duration backoff_max;
  bool poison;  // Counts towards kPoisonAttempts.
};

inline constexpr absl::Duration kNow = absl::ZeroDuration();

// Attempts of poison classes after which a stage is given up, whatever their classes: a stage that
// kills its workers must not take the fleet with it, one class after another.
inline constexpr int kPoisonAttempts = 6;
// A limit that no stage reaches: a preempted attempt says nothing about the stage.
inline constexpr int kNoRetryLimit = 1'000'000;

// clang-format off
inline constexpr std::array kRetryPolicies = {
    // class, retries, first backoff, longest backoff, poison
    // It may have been the stage that took the worker down.
    RetryPolicy{FailureClass::kWorkerLost, 5, kNow, kNow, true},
    // Never the stage's fault.
    RetryPolicy{FailureClass::kPreempted,  kNoRetryLimit, kNow, kNow, false},
    // Another card, or another minute, may have more room.
    RetryPolicy{FailureClass::kOomGpu, 2, absl::Seconds(5), absl::Minutes(1), true},
    RetryPolicy{FailureClass::kOomHost, 2, absl::Seconds(10), absl::Minutes(2), true},
    // Somebody must clear the disk.
    RetryPolicy{FailureClass::kDiskFull, 4, absl::Seconds(30), absl::Minutes(10), false},
    RetryPolicy{FailureClass::kTimeout, 1, absl::Seconds(5), absl::Minutes(1), true},
    RetryPolicy{FailureClass::kHang, 2, absl::Seconds(5), absl::Minutes(1), true},
    // Seeded: it would diverge again.
    RetryPolicy{FailureClass::kDiverged, 0, kNow, kNow, true},
    // The same input stays bad.
    RetryPolicy{FailureClass::kBadInput, 0, kNow, kNow, true},
    RetryPolicy{FailureClass::kSandbox, 2, absl::Seconds(2), absl::Minutes(1), true},
    // Once, in case it was chance.
    RetryPolicy{FailureClass::kBug, 1, absl::Seconds(1), absl::Minutes(1), true},
};
// clang-format on
static_assert(kRetryPolicies.size() == kFailureClasses.size());

/// The row of `failure`.
const RetryPolicy& PolicyOf(FailureClass failure);

/// How many attempts of a stage ended in each class since it was last retried by a person; indexed
/// by FailureClass.
using FailureCounts = std::array<int, kFailureClasses.size()>;

/// When the next attempt is due after a failure of class `failure` at `now`, or nullopt when there
/// is none by itself. `counts` includes the failure just seen.
std::optional<absl::Time> RetryAt(FailureClass failure,
                                  const FailureCounts& counts,
                                  absl::Time now);

}  // namespace bitsweep
