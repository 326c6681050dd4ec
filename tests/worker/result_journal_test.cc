#include "worker/agent/result_journal.h"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bitsweep {
namespace {

namespace fs = std::filesystem;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class ResultJournalTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) / ("journal-" + std::to_string(::getpid()));
    fs::remove_all(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::unique_ptr<FileResultJournal> Open() {
    return FileResultJournal::Open(folder_.string()).value();
  }
  static Fence SomeFence(int attempt) {
    return {.stage = StageKey(std::string(64, 'a')), .attempt = attempt, .lease = LeaseId(9)};
  }

  fs::path folder_;
};

TEST_F(ResultJournalTest, ResultsSurviveAReopening) {
  const StageSucceeded succeeded{
      .fence = SomeFence(1),
      .artifact = {.files = {{.name = "a", .size = 3, .digest = Digest(std::string(64, '1'))}},
                   .summary = R"({"x":1})"},
      .peak_host_bytes = 4,
      .peak_gpu_bytes = 5,
      .build = "b",
      .log_tail = "bytes \xFF that are not UTF-8"};
  const StageFailed failed{
      .fence = SomeFence(2), .failure = FailureClass::kOomHost, .message = "m", .log_tail = "t"};
  ASSERT_TRUE(Open()->Put(succeeded).ok());
  ASSERT_TRUE(Open()->Put(failed).ok());
  const auto results = Open()->Load();
  ASSERT_THAT(results, SizeIs(2));
  const auto& first = std::get<StageSucceeded>(results.at(SomeFence(1)));
  EXPECT_EQ(first.artifact.files, succeeded.artifact.files);
  EXPECT_EQ(first.artifact.summary, succeeded.artifact.summary);
  EXPECT_EQ(first.peak_host_bytes, 4);
  EXPECT_EQ(first.peak_gpu_bytes, 5);
  EXPECT_EQ(first.build, "b");
  EXPECT_EQ(first.log_tail, "bytes \xEF\xBF\xBD that are not UTF-8");
  EXPECT_EQ(std::get<StageFailed>(results.at(SomeFence(2))).failure, FailureClass::kOomHost);
}

TEST_F(ResultJournalTest, RemovedResultsStayAway) {
  auto journal = Open();
  ASSERT_TRUE(journal->Put(StageFailed{.fence = SomeFence(1), .message = "", .log_tail = ""}).ok());
  journal->Remove(SomeFence(1));
  journal->Remove(SomeFence(3));
  EXPECT_THAT(Open()->Load(), IsEmpty());
}

TEST_F(ResultJournalTest, FilesThatCannotBeReadBackAreDropped) {
  auto journal = Open();
  std::ofstream(folder_ / "x.json") << "{\"result\":\"succeeded\"";
  std::ofstream(folder_ / "y.json.tmp") << "half";
  EXPECT_THAT(journal->Load(), IsEmpty());
  EXPECT_TRUE(fs::is_empty(folder_));
}

}  // namespace
}  // namespace bitsweep
