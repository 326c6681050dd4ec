#include "worker/kernels/parallel.h"

#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace bitsweep::kernels {
namespace {

TEST(ParallelForTest, CoversEveryIndexOnceInWholeGrains) {
  for (const std::int64_t total : {0, 1, 7, 24, 25, 1000}) {
    for (const int threads : {1, 2, 5}) {
      std::vector<std::atomic<int>> visits(static_cast<std::size_t>(total));
      ParallelFor(total, 8, threads, [&](std::int64_t begin, std::int64_t end) {
        EXPECT_EQ(begin % 8, 0);
        EXPECT_TRUE(end % 8 == 0 || end == total);
        for (std::int64_t i = begin; i < end; ++i) {
          ++visits[static_cast<std::size_t>(i)];
        }
      });
      for (const auto& count : visits) {
        EXPECT_EQ(count, 1);
      }
    }
  }
}

TEST(ParallelForTest, NestedAndConcurrentCallsFinish) {
  std::atomic<std::int64_t> sum{0};
  const auto work = [&sum] {
    for (int repeat = 0; repeat < 50; ++repeat) {
      ParallelFor(10, 1, 3, [&](std::int64_t begin, std::int64_t end) {
        ParallelFor(
            end - begin, 1, 3, [&](std::int64_t first, std::int64_t last) { sum += last - first; });
      });
    }
  };
  std::thread other(work);
  work();
  other.join();
  EXPECT_EQ(sum, 2 * 50 * 10);
}

}  // namespace
}  // namespace bitsweep::kernels
