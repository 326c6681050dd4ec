#include "coordinator/domain/retry.h"

#include <gtest/gtest.h>

namespace bitsweep {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1'800'000'000);

FailureCounts Seen(FailureClass failure, int times) {
  FailureCounts counts{};
  counts.at(static_cast<std::size_t>(failure)) = times;
  return counts;
}

TEST(RetryTest, TheTableIsInTheOrderOfTheClasses) {
  for (const FailureClass failure : kFailureClasses) {
    EXPECT_EQ(PolicyOf(failure).failure, failure);
  }
}

TEST(RetryTest, EachClassStopsAtItsLimitAndNotBefore) {
  for (const RetryPolicy& policy : kRetryPolicies) {
    if (policy.retries_max == kNoRetryLimit) {
      continue;
    }
    EXPECT_FALSE(RetryAt(policy.failure, Seen(policy.failure, policy.retries_max + 1), kStart))
        << ToString(policy.failure);
    if (policy.retries_max > 0) {
      EXPECT_TRUE(RetryAt(policy.failure, Seen(policy.failure, policy.retries_max), kStart))
          << ToString(policy.failure);
    }
  }
}

TEST(RetryTest, BackoffDoublesUpToItsLimit) {
  EXPECT_EQ(RetryAt(FailureClass::kDiskFull, Seen(FailureClass::kDiskFull, 1), kStart),
            kStart + absl::Seconds(30));
  EXPECT_EQ(RetryAt(FailureClass::kDiskFull, Seen(FailureClass::kDiskFull, 3), kStart),
            kStart + absl::Seconds(120));
  EXPECT_EQ(RetryAt(FailureClass::kPreempted, Seen(FailureClass::kPreempted, 500), kStart), kStart);
}

TEST(RetryTest, PoisonAddsUpAcrossClasses) {
  FailureCounts counts{};
  counts.at(static_cast<std::size_t>(FailureClass::kWorkerLost)) = kPoisonAttempts - 2;
  counts.at(static_cast<std::size_t>(FailureClass::kHang)) = 1;
  EXPECT_TRUE(RetryAt(FailureClass::kHang, counts, kStart));
  counts.at(static_cast<std::size_t>(FailureClass::kOomHost)) = 1;
  EXPECT_FALSE(RetryAt(FailureClass::kOomHost, counts, kStart));
  // A full disk says nothing about the stage.
  counts.at(static_cast<std::size_t>(FailureClass::kDiskFull)) = 1;
  EXPECT_TRUE(RetryAt(FailureClass::kDiskFull, counts, kStart));
}

}  // namespace
}  // namespace bitsweep
