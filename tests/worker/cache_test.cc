#include "worker/runtime/cache.h"

#include <atomic>
#include <filesystem>
#include <future>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/worker/scratch_folder.h"

namespace bitsweep {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr std::int64_t kLarge = 1 << 30;

void Fill(Cache& cache, const ScratchFolder& scratch, const std::string& name, int bytes) {
  const Cache::Hold hold = cache.Take(CacheRoom::kBlobs, name);
  scratch.Write("cache/blobs/" + name, std::string(static_cast<std::size_t>(bytes), 'x'));
}

TEST(CacheTest, ASecondAgentOnTheFolderIsRefused) {
  const ScratchFolder scratch;
  auto first = Cache::Open(scratch / "cache", kLarge);
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = Cache::Open(scratch / "cache", kLarge);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("in use by another worker"));
  const std::string id = (*first)->id();
  first->reset();
  const auto again = Cache::Open(scratch / "cache", kLarge);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ((*again)->id(), id);
}

TEST(CacheTest, TheLeastRecentlyUsedGoesFirst) {
  const ScratchFolder scratch;
  const auto cache = *Cache::Open(scratch / "cache", 250);
  Fill(*cache, scratch, "a", 100);
  Fill(*cache, scratch, "b", 100);
  { const Cache::Hold used = cache->Take(CacheRoom::kBlobs, "a"); }
  Fill(*cache, scratch, "c", 100);
  EXPECT_TRUE(fs::exists(scratch / "cache/blobs/a"));
  EXPECT_FALSE(fs::exists(scratch / "cache/blobs/b"));
  EXPECT_TRUE(fs::exists(scratch / "cache/blobs/c"));
  EXPECT_EQ(cache->bytes(), 200);
}

TEST(CacheTest, WhatIsInUseStaysEvenWhenItIsTooMuch) {
  const ScratchFolder scratch;
  const auto cache = *Cache::Open(scratch / "cache", 250);
  Fill(*cache, scratch, "a", 200);
  {
    Cache::Hold pinned = cache->Take(CacheRoom::kBlobs, "a");
    pinned.Share();
    Fill(*cache, scratch, "b", 200);
    EXPECT_TRUE(fs::exists(scratch / "cache/blobs/a"));
    EXPECT_FALSE(fs::exists(scratch / "cache/blobs/b"));
  }
  EXPECT_TRUE(fs::exists(scratch / "cache/blobs/a"));
}

TEST(CacheTest, AnEntryIsInOneHandUntilItIsShared) {
  const ScratchFolder scratch;
  const auto cache = *Cache::Open(scratch / "cache", kLarge);
  std::atomic<bool> shared = false;
  Cache::Hold first = cache->Take(CacheRoom::kBlobs, "a");
  std::future<bool> second = std::async(std::launch::async, [&] {
    const Cache::Hold hold = cache->Take(CacheRoom::kBlobs, "a");
    return shared.load();
  });
  shared = true;
  first.Share();
  EXPECT_TRUE(second.get());
}

TEST(CacheTest, EntriesAndTheirOrderSurviveAReopeningAndTmpDoesNot) {
  const ScratchFolder scratch;
  {
    const auto cache = *Cache::Open(scratch / "cache", kLarge);
    Fill(*cache, scratch, "a", 100);
    Fill(*cache, scratch, "b", 100);
    scratch.Write("cache/tmp/7", "half a download");
  }
  const auto hour_ago = fs::file_time_type::clock::now() - std::chrono::hours(1);
  fs::last_write_time(scratch / "cache/blobs/b", hour_ago);
  const auto cache = *Cache::Open(scratch / "cache", 150);
  EXPECT_TRUE(fs::exists(scratch / "cache/blobs/a"));
  EXPECT_FALSE(fs::exists(scratch / "cache/blobs/b"));
  EXPECT_FALSE(fs::exists(scratch / "cache/tmp/7"));
}

}  // namespace
}  // namespace bitsweep
