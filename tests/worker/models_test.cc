#include "worker/runtime/models.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/worker/scratch_folder.h"

namespace bitsweep {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ModelsTest : public ::testing::Test {
 protected:
  ModelsTest() {
    scratch_.Write("r1/a/config.json", "{}");
    scratch_.Write("r1/a/model.safetensors", "weights");
    scratch_.Write("r1/org/b/config.json", "{}");
    scratch_.Write("r2/a/config.json", "{}");
    scratch_.Write("r2/none/readme", "");
  }
  Models Open() { return Models({scratch_ / "r1", scratch_ / "r2"}, scratch_ / "models.json"); }

  ScratchFolder scratch_;
};

TEST_F(ModelsTest, FoldersWithAConfigAreOffered) {
  EXPECT_THAT(Open().List(), ElementsAre("a", "org/b"));
}

TEST_F(ModelsTest, AModelIsTakenFromTheFirstRootThatHasIt) {
  Models models = Open();
  EXPECT_EQ(models.Find("a").value(), scratch_ / "r1/a");
  EXPECT_EQ(models.Find("none").value(), scratch_ / "r2/none");
  EXPECT_THAT(std::string(models.Find("c").status().message()), HasSubstr(scratch_ / "r2"));
  EXPECT_EQ(models.Find("../r1/a").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(models.Find("/etc").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(ModelsTest, AnIdentityHoldsUntilAFileChangesComesOrGoes) {
  const std::string folder = scratch_ / "r1/a";
  const auto remember = [&](Models& models) {
    models.Remember(folder, "d", Models::StampsOf(folder));
    ASSERT_EQ(models.KnownDigest(folder), "d");
  };
  Models models = Open();
  EXPECT_EQ(models.KnownDigest(folder), "");
  remember(models);
  EXPECT_EQ(Open().KnownDigest(folder), "d") << "it survives a restart";
  scratch_.Write("r1/a/model.safetensors", "weightS");
  fs::last_write_time(scratch_ / "r1/a/model.safetensors",
                      fs::file_time_type::clock::now() + std::chrono::seconds(5));
  EXPECT_EQ(models.KnownDigest(folder), "");
  remember(models);
  scratch_.Write("r1/a/tokenizer.json", "{}");
  EXPECT_EQ(models.KnownDigest(folder), "");
  remember(models);
  fs::remove(scratch_ / "r1/a/tokenizer.json");
  EXPECT_EQ(models.KnownDigest(folder), "");
}

TEST_F(ModelsTest, AModelThatChangedWhileItWasHashedIsNotRemembered) {
  const std::string folder = scratch_ / "r1/a";
  const Models::Stamps before = Models::StampsOf(folder);
  scratch_.Write("r1/a/model.safetensors", "longer weights");
  Models models = Open();
  models.Remember(folder, "d", before);
  EXPECT_EQ(models.KnownDigest(folder), "");
}

TEST_F(ModelsTest, AStoreThatCannotBeReadIsForgotten) {
  scratch_.Write("models.json", "{\"/x\": {\"digest\": ");
  EXPECT_EQ(Open().KnownDigest(scratch_ / "r1/a"), "");
}

}  // namespace
}  // namespace bitsweep
