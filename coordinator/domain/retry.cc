#include "coordinator/domain/retry.h"

#include <algorithm>

#include "proto/base/status_macros.h"

namespace bitsweep {

const RetryPolicy& PolicyOf(FailureClass failure) {
  const RetryPolicy& policy = kRetryPolicies.at(static_cast<std::size_t>(failure));
  BITSWEEP_CHECK(policy.failure == failure) << "kRetryPolicies is not in the order of FailureClass";
  return policy;
}

std::optional<absl::Time> RetryAt(FailureClass failure,
                                  const FailureCounts& counts,
                                  absl::Time now) {
  int poison = 0;
  for (const RetryPolicy& row : kRetryPolicies) {
    poison += row.poison ? counts.at(static_cast<std::size_t>(row.failure)) : 0;
  }
  const RetryPolicy& policy = PolicyOf(failure);
  const int seen = counts.at(static_cast<std::size_t>(failure));
  if (seen > policy.retries_max || (policy.poison && poison >= kPoisonAttempts)) {
    return std::nullopt;
  }
  // Beyond 2^16 the longest backoff has long been reached, and the shift stays defined.
  const int doublings = std::clamp(seen - 1, 0, 16);
  return now + std::min(policy.backoff_max, policy.first * (1 << doublings));
}

}  // namespace bitsweep
