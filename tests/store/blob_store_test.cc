#include "coordinator/artifacts/blob_store.h"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sys/resource.h>

#include <gtest/gtest.h>

#include "tests/store/temp_folder.h"

namespace bitsweep::testing {
namespace {

class BlobStoreTest : public ::testing::Test {
 protected:
  void SetUp() override { Open(); }
  void Open() {
    auto opened = BlobStore::Open(folder.path());
    ASSERT_TRUE(opened.ok()) << opened.status();
    blobs = std::move(*opened);
  }
  std::size_t Files(const std::string& dir) {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder / dir)) {
      count += entry.is_regular_file() ? 1 : 0;
    }
    return count;
  }
  TempFolder folder;
  std::unique_ptr<BlobStore> blobs;
};

TEST_F(BlobStoreTest, WhatIsPutIsThere) {
  const std::string bytes(3'000'000, 'b');
  const auto digest = blobs->Put(bytes);
  ASSERT_TRUE(digest.ok()) << digest.status();
  EXPECT_EQ(digest->value(), Sha256Hex(bytes));
  EXPECT_TRUE(blobs->Has(*digest));
  EXPECT_EQ(*blobs->ReadAll(*digest, 3'000'000), bytes);
  EXPECT_EQ(blobs->ReadAll(*digest, 2'999'999).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(*blobs->Put(bytes), *digest);
  Open();
  EXPECT_TRUE(blobs->Has(*digest));
  const auto empty = blobs->Put("");
  ASSERT_TRUE(empty.ok());
  EXPECT_EQ(*blobs->ReadAll(*empty, 0), "");
}

TEST_F(BlobStoreTest, ReadingResumesAtAnOffset) {
  const Digest digest = *blobs->Put("0123456789");
  auto reader = blobs->Read(digest, 4);
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ((*reader)->size(), 10);
  EXPECT_EQ(*(*reader)->Read(3), "456");
  EXPECT_EQ(*(*reader)->Read(100), "789");
  EXPECT_EQ(*(*reader)->Read(100), "");
  EXPECT_EQ(*(*blobs->Read(digest, 10))->Read(1), "");
  EXPECT_EQ(blobs->Read(digest, 11).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(blobs->Read(digest, -1).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(blobs->Read(Digest(std::string(64, '0')), 0).status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(BlobStoreTest, WrongBytesAreNeverPublished) {
  const Digest promised(Sha256Hex("promised"));
  auto writer = blobs->Write(promised, 8);
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE((*writer)->Write("PROMISED").ok());
  const absl::Status status = (*writer)->Finish();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find(promised.value()), std::string::npos);
  EXPECT_NE(status.message().find(Sha256Hex("PROMISED")), std::string::npos);
  writer->reset();
  EXPECT_FALSE(blobs->Has(promised));
  EXPECT_EQ(Files("incoming"), 0u);

  writer = blobs->Write(promised, 8);
  ASSERT_TRUE((*writer)->Write("promise").ok());
  EXPECT_EQ((*writer)->Finish().code(), absl::StatusCode::kInvalidArgument);
  writer = blobs->Write(promised, 8);
  EXPECT_EQ((*writer)->Write("promised!").code(), absl::StatusCode::kInvalidArgument);
  writer->reset();
  EXPECT_EQ(Files("incoming"), 0u);
  EXPECT_EQ(Files("blobs"), 0u);
}

TEST_F(BlobStoreTest, BadDigestsAreRefused) {
  for (const std::string& text : {std::string("short"),
                                  std::string(64, 'G'),
                                  std::string(64, 'A'),
                                  std::string("../") + std::string(61, 'a'),
                                  std::string()}) {
    EXPECT_EQ(blobs->Write(Digest(text), 1).status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(blobs->Read(Digest(text), 0).status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_FALSE(blobs->Has(Digest(text)));
  }
  EXPECT_EQ(blobs->Write(Digest(std::string(64, 'a')), -1).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(BlobStoreTest, TwoUploadsOfOneBlobBothSucceed) {
  const Digest digest(Sha256Hex("twice"));
  auto first = blobs->Write(digest, 5);
  auto second = blobs->Write(digest, 5);
  ASSERT_TRUE((*first)->Write("twice").ok());
  ASSERT_TRUE((*second)->Write("tw").ok());
  EXPECT_TRUE((*first)->Finish().ok());
  ASSERT_TRUE((*second)->Write("ice").ok());
  EXPECT_TRUE((*second)->Finish().ok());
  EXPECT_EQ(*blobs->ReadAll(digest, 5), "twice");
}

TEST_F(BlobStoreTest, UnfinishedUploadsAreGoneAfterARestart) {
  std::ofstream(folder / "incoming/left-behind.7") << "half";
  Open();
  EXPECT_EQ(Files("incoming"), 0u);
}

TEST_F(BlobStoreTest, ADamagedBlobIsFoundMovedAsideAndCanComeAgain) {
  const Digest digest = *blobs->Put("whole");
  std::ofstream(blobs->Path(digest)) << "wh0le";
  const absl::Status status = blobs->ReadAll(digest, 100).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_NE(status.message().find(Sha256Hex("wh0le")), std::string::npos) << status;
  EXPECT_FALSE(blobs->Has(digest));
  ASSERT_TRUE(blobs->Put("whole").ok());
  EXPECT_EQ(*blobs->ReadAll(digest, 100), "whole");
}

TEST_F(BlobStoreTest, AFailedWriteLeavesNothing) {
  // A file size limit makes write() fail as a full disk does, with another errno.
  struct rlimit before {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  struct rlimit small = before;
  small.rlim_cur = 1000;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const absl::Status status = blobs->Put(std::string(5000, 'x')).status();
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(Files("incoming"), 0u);
  EXPECT_EQ(Files("blobs"), 0u);
}

}  // namespace
}  // namespace bitsweep::testing
