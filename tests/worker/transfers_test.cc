#include "worker/runtime/transfers.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/worker/memory_blobs.h"
#include "tests/worker/scratch_folder.h"

namespace bitsweep {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class TransfersTest : public ::testing::Test {
 protected:
  static void Nothing(std::int64_t, std::int64_t) {}
  StageKey Key() const { return StageKey(std::string(64, 'a')); }
  ArtifactManifest Artifact() {
    return {.files = {{.name = "a", .size = 3, .digest = blobs_.Add("aaa")},
                      {.name = "sub/b", .size = 2, .digest = blobs_.Add("bb")}},
            .summary = "{}"};
  }

  ScratchFolder scratch_;
  MemoryBlobs blobs_;
  std::unique_ptr<Cache> cache_ = *Cache::Open(scratch_ / "cache", 1 << 30);
  Transfers transfers_{*cache_, blobs_};
};

TEST_F(TransfersTest, ABlobIsFetchedOnceAndVerified) {
  const Digest digest = blobs_.Add("hello");
  for (int i = 0; i < 2; ++i) {
    const auto hold = transfers_.Blob(digest, Nothing, {});
    ASSERT_TRUE(hold.ok()) << hold.status();
    EXPECT_EQ(ScratchFolder::Read(hold->path()), "hello");
  }
  EXPECT_EQ(blobs_.downloads, 1);
}

TEST_F(TransfersTest, AWrongBlobIsNotKept) {
  const Digest digest = blobs_.Add("hello");
  blobs_.spoil = true;
  EXPECT_EQ(transfers_.Blob(digest, Nothing, {}).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_FALSE(fs::exists(scratch_ / ("cache/blobs/" + digest.value())));
  EXPECT_TRUE(fs::is_empty(scratch_ / "cache/tmp"));
  blobs_.spoil = false;
  EXPECT_TRUE(transfers_.Blob(digest, Nothing, {}).ok());
}

TEST_F(TransfersTest, ABrokenDownloadGoesOnWhereItStopped) {
  const Digest digest = blobs_.Add("0123456789");
  blobs_.away = 1;
  const auto hold = transfers_.Blob(digest, Nothing, {});
  ASSERT_TRUE(hold.ok()) << hold.status();
  EXPECT_EQ(ScratchFolder::Read(hold->path()), "0123456789");
  EXPECT_EQ(blobs_.downloads, 2);
}

TEST_F(TransfersTest, AStopEndsTheWaitForACoordinatorThatIsAway) {
  blobs_.away = 1 << 30;
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(transfers_.Blob(blobs_.Add("x"), Nothing, stop.get_token()).status().code(),
            absl::StatusCode::kCancelled);
}

TEST_F(TransfersTest, AnArtifactIsFetchedFileByFileOnce) {
  const ArtifactManifest manifest = Artifact();
  for (int i = 0; i < 2; ++i) {
    const auto hold = transfers_.Artifact(Key(), manifest, Nothing, {});
    ASSERT_TRUE(hold.ok()) << hold.status();
    EXPECT_EQ(ScratchFolder::Read(hold->path() + kArtifactFilesFolder + "/sub/b"), "bb");
  }
  EXPECT_EQ(blobs_.downloads, 2);
}

TEST_F(TransfersTest, AnArtifactThatSomebodyChangedIsFetchedAgain) {
  const ArtifactManifest manifest = Artifact();
  const std::string file =
      transfers_.Artifact(Key(), manifest, Nothing, {})->path() + kArtifactFilesFolder + "/a";
  scratch_.Write(fs::path(file).lexically_relative(scratch_.path()), "xxxx");
  const auto hold = transfers_.Artifact(Key(), manifest, Nothing, {});
  ASSERT_TRUE(hold.ok()) << hold.status();
  EXPECT_EQ(ScratchFolder::Read(file), "aaa");
}

TEST_F(TransfersTest, AnArtifactWithAFileOutsideItsFolderIsRefused) {
  ArtifactManifest manifest = Artifact();
  manifest.files[0].name = "../../escaped";
  EXPECT_FALSE(transfers_.Artifact(Key(), manifest, Nothing, {}).ok());
  EXPECT_FALSE(fs::exists(scratch_ / "cache/escaped"));
}

TEST_F(TransfersTest, OutputsAreHashedUploadedOnceAndKept) {
  scratch_.Write("out/b", "same");
  scratch_.Write("out/a/c", "same");
  const auto files = Transfers::HashFiles(scratch_ / "out", {});
  ASSERT_TRUE(files.ok()) << files.status();
  ASSERT_EQ(files->size(), 2U);
  EXPECT_EQ((*files)[0].name, "a/c");
  EXPECT_EQ((*files)[1].digest.value(), Sha256Hex("same"));
  blobs_.away = 1;
  ASSERT_TRUE(transfers_.Upload(scratch_ / "out", *files, Nothing, {}).ok());
  EXPECT_EQ(blobs_.uploads, 1);
  ASSERT_TRUE(transfers_.Upload(scratch_ / "out", *files, Nothing, {}).ok());
  EXPECT_EQ(blobs_.uploads, 1);
  ASSERT_TRUE(transfers_.Keep(Key(), scratch_ / "out", *files).ok());
  const auto hold = transfers_.Artifact(Key(), {.files = *files, .summary = "{}"}, Nothing, {});
  ASSERT_TRUE(hold.ok());
  EXPECT_EQ(blobs_.downloads, 0);
}

TEST_F(TransfersTest, AnOutputFolderWithALinkOrWithNothingIsRefused) {
  fs::create_directories(scratch_ / "out");
  EXPECT_FALSE(Transfers::HashFiles(scratch_ / "out", {}).ok());
  scratch_.Write("out/a", "a");
  fs::create_symlink("/etc/passwd", scratch_ / "out/link");
  const absl::Status status = Transfers::HashFiles(scratch_ / "out", {}).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("link"));
}

}  // namespace
}  // namespace bitsweep
