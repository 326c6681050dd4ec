// Sweeps whose work was done elsewhere: whole at once, shared by content, there after a restart.
#include "tests/store/store_scene.h"

namespace bitsweep::testing {
namespace {

class ImportTest : public StoreScene {
 protected:
  static CellDefinition CellNamed(const std::string& precision) {
    CellDefinition cell = CellOf({}, precision == "fp16" ? "fp16" : "2-bit");
    cell.inspect = Key("their m");
    cell.grade = Key("their grade " + precision);
    return cell;
  }
  static std::vector<DoneElsewhere> Stages() {
    std::vector<DoneElsewhere> stages;
    stages.push_back({Define(StageKind::kInspect, "their m"), R"({"weights_bytes": 10})", {}});
    for (const char* precision : {"fp16", "2-bit"}) {
      stages.push_back({Define(StageKind::kGrade, std::string("their grade ") + precision),
                        "{}",
                        Verdicts(precision == std::string("fp16") ? 2 : 1)});
    }
    return stages;
  }
  absl::StatusOr<SubmitReceipt> Import(const std::string& request = "",
                                       std::vector<DoneElsewhere> stages = Stages()) {
    Submission submission;
    submission.request_id = request;
    submission.name = "theirs";
    submission.file_name = "rows.csv";
    submission.files = {{"rows.csv", Digest(std::string(64, 'a'))}};
    auto receipt = OnImport(
        core, out, submission, {CellNamed("fp16"), CellNamed("2-bit")}, std::move(stages), now);
    Check();
    return receipt;
  }
};

TEST_F(ImportTest, EveryCellHasSucceededAndARestartChangesNothing) {
  const auto receipt = Import();
  ASSERT_TRUE(receipt.ok()) << receipt.status();
  EXPECT_EQ(receipt->cells, 2);
  EXPECT_EQ(receipt->stages, 3);
  EXPECT_EQ(receipt->cached, 0);
  EXPECT_EQ(SweepAt(receipt->sweep).state, SweepState::kSucceeded);
  EXPECT_EQ(SweepAt(receipt->sweep).ended, now);
  Commit();
  const auto cells = store->CellResults(receipt->sweep);
  ASSERT_TRUE(cells.ok()) << cells.status();
  EXPECT_EQ(cells->at(0).pass_at_1, 1.0);
  EXPECT_EQ(cells->at(0).size_bytes, 10);
  EXPECT_EQ(cells->at(1).pass_at_1, 0.75);
  EXPECT_EQ(cells->at(1).size_bytes, std::nullopt);
  const auto rows = store->Verdicts(Key("their grade 2-bit"));
  ASSERT_TRUE(rows.ok());
  ASSERT_EQ(rows->size(), 4u);
  EXPECT_EQ(rows->front().problem, "p1");
  const auto records = store->Provenance(receipt->sweep);
  ASSERT_TRUE(records.ok()) << records.status();
  ASSERT_EQ(records->size(), 3u);
  EXPECT_EQ(records->at(0).attempt, 0);
  EXPECT_EQ(records->at(0).summary, R"({"weights_bytes": 10})");
  const std::unique_ptr<Core> restored = Reloaded();
  ExpectSameState(core, *restored);
  EXPECT_TRUE(restored->FindStage(Key("their grade 2-bit"))->Imported());
}

TEST_F(ImportTest, EqualOutcomesAreOneStageAndARepeatedRequestOneSweep) {
  const auto first = Import("request");
  const auto again = Import("request");
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again->existed);
  EXPECT_EQ(again->sweep, first->sweep);
  const auto second = Import("another");
  ASSERT_TRUE(second.ok());
  EXPECT_NE(second->sweep, first->sweep);
  EXPECT_EQ(second->cached, 3);
  EXPECT_EQ(core.stages.size(), 3u);
  Commit();
  ExpectSameState(core, *Reloaded());
}

TEST_F(ImportTest, NobodyCanMakeItAgain) {
  ASSERT_TRUE(Import().ok());
  Clear();
  EXPECT_EQ(OnArtifactLost(core, out, Key("their grade 2-bit"), now).code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(out.changes.empty());
  const WorkerId worker = Register(Offer("w"));
  Submit({{}});
  Run("inspect m 1", worker);
  EXPECT_FALSE(At("inspect m 1").Imported());
}

TEST_F(ImportTest, WhatIsNotWholeChangesNothing) {
  const auto refused = [&](std::vector<DoneElsewhere> stages, absl::StatusCode code) {
    EXPECT_EQ(Import("", std::move(stages)).status().code(), code);
    EXPECT_TRUE(core.sweeps.empty());
    EXPECT_TRUE(out.changes.empty());
  };
  auto stages = Stages();
  stages.pop_back();
  refused(stages, absl::StatusCode::kInvalidArgument);  // A cell without its grade stage.
  stages = Stages();
  stages[1].verdicts.clear();
  refused(stages, absl::StatusCode::kInvalidArgument);
  stages = Stages();
  stages[1].verdicts.push_back(stages[1].verdicts.front());
  refused(stages, absl::StatusCode::kInvalidArgument);
  stages = Stages();
  stages[1].definition.upstream = {Key("their m")};
  refused(stages, absl::StatusCode::kInvalidArgument);
}

TEST_F(ImportTest, AStageThatRanHereIsNotReplaced) {
  Submit({{}});
  Clear();
  auto stages = Stages();
  stages[0].definition.key = Key("inspect m 1");
  const std::size_t sweeps = core.sweeps.size();
  EXPECT_EQ(Import("", stages).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(core.sweeps.size(), sweeps);
  EXPECT_TRUE(out.changes.empty());
}

}  // namespace
}  // namespace bitsweep::testing
