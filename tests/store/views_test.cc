#include <sqlite3.h>

#include "tests/store/store_scene.h"

namespace bitsweep::testing {
namespace {

class ViewsTest : public StoreScene {
 protected:
  void SetUp() override {
    sweep = Submit({{}});
    worker = Register(Offer("w"));
    Run("inspect m 1", worker);
    Plan(sweep, {});
  }
  void FinishAll() {
    Run("quantize m", worker);
    for (const char* variant : {"fp16", "2-bit"}) {
      Run("generate m " + std::string(variant), worker);
    }
    RunGrade("grade m fp16", worker, 1);
    RunGrade("grade m 2-bit", worker, 0);
    Commit();
  }
  /// Every row as text, by a connection of its own, as a user would.
  std::vector<std::vector<std::string>> Select(const std::string& sql) {
    std::vector<std::vector<std::string>> rows;
    sqlite3* handle = nullptr;
    EXPECT_EQ(
        sqlite3_open_v2((folder / "bitsweep.db").c_str(), &handle, SQLITE_OPEN_READONLY, nullptr),
        SQLITE_OK);
    const auto collect = [](void* to, int columns, char** values, char**) {
      auto& row = static_cast<std::vector<std::vector<std::string>>*>(to)->emplace_back();
      for (int i = 0; i < columns; ++i) {
        row.emplace_back(values[i] != nullptr ? values[i] : "NULL");
      }
      return 0;
    };
    char* error = nullptr;
    EXPECT_EQ(sqlite3_exec(handle, sql.c_str(), collect, &rows, &error), SQLITE_OK) << error;
    sqlite3_close(handle);
    return rows;
  }
  SweepId sweep;
  WorkerId worker;
};

using Rows = std::vector<std::vector<std::string>>;

TEST_F(ViewsTest, CellResultsHaveTheRightPassAt1) {
  FinishAll();
  EXPECT_EQ(Select("SELECT sweep, model, family, params, precision, calibration, finetuned, "
                   "benchmark, language, problems, samples, pass_at_1, size_bytes, "
                   "effective_bits, state FROM cell_results ORDER BY ordinal"),
            (Rows{{"1",
                   "m",
                   "Sparrow",
                   "1M",
                   "fp16",
                   "none",
                   "none",
                   "demo",
                   "python",
                   "2",
                   "2",
                   "0.75",
                   "1000",
                   "16.0",
                   "succeeded"},
                  {"1",
                   "m",
                   "Sparrow",
                   "1M",
                   "2-bit",
                   "code",
                   "none",
                   "demo",
                   "python",
                   "2",
                   "2",
                   "0.5",
                   "1000",
                   "2.5",
                   "succeeded"}}));
  EXPECT_EQ(
      Select("SELECT study_pass_at_1, weak_witnesses FROM cell_results ORDER BY ordinal LIMIT 1"),
      (Rows{{"1.0", "2"}}));
  const auto cells = store->Cells(sweep);
  ASSERT_TRUE(cells.ok()) << cells.status();
  ASSERT_EQ(cells->size(), 2u);
  const StoredCell& cell = cells->at(0);
  EXPECT_EQ(cell.result.pass_at_1, 0.75);
  EXPECT_EQ(cell.result.effective_bits, 16.0);
  EXPECT_EQ(cell.result.parameters, 500);
  EXPECT_EQ(cell.result.stages_done, 3);
  EXPECT_EQ(cell.result.stages_total, 3);
  EXPECT_EQ(cell.result.weak_witnesses, 2);
  EXPECT_EQ(cell.questions, std::vector<std::string>{"rq1"});
  EXPECT_EQ(cell.grade, Key("grade m fp16").value());
  EXPECT_EQ(cell.quantize, "");
  EXPECT_EQ(cells->at(1).result.stages_total, 4);
  EXPECT_EQ(store->Cells(SweepId(9)).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ViewsTest, NothingIsClaimedBeforeItIsIn) {
  Commit();
  EXPECT_EQ(Select("SELECT state, pass_at_1, size_bytes, effective_bits FROM cell_results "
                   "ORDER BY ordinal"),
            (Rows{{"pending", "NULL", "1000", "16.0"}, {"pending", "NULL", "NULL", "NULL"}}));
  EXPECT_EQ(Select("SELECT count(*) FROM sample_outcomes"), (Rows{{"0"}}));
}

TEST_F(ViewsTest, StatesAreTheDomains) {
  const auto expect = [&](const char* first, const char* second) {
    Commit();
    EXPECT_EQ(Select("SELECT state FROM cell_results ORDER BY ordinal"), (Rows{{first}, {second}}));
    const auto& cells = SweepAt(sweep).cells;
    EXPECT_EQ(ToString(cells[0].state), first);
    EXPECT_EQ(ToString(cells[1].state), second);
  };
  const Fence fence = Lease("quantize m", worker);
  expect("pending", "running");
  Fail(worker, fence, FailureClass::kOomHost);  // a retry is due
  expect("pending", "pending");
  TickAlive(absl::Seconds(11), {{worker, Heartbeat{}}});
  Fail(worker, Lease("quantize m", worker), FailureClass::kBadInput);
  expect("pending", "failed");
  const auto cells = store->CellResults(sweep);
  ASSERT_TRUE(cells.ok());
  EXPECT_EQ(cells->at(1).failure_class, "bad_input");
  Run("generate m fp16", worker);
  RunGrade("grade m fp16", worker, 2);
  expect("succeeded", "failed");
  ASSERT_TRUE(OnRetry(core, out, sweep, now).ok());
  expect("succeeded", "pending");
  ASSERT_TRUE(OnCancelSweep(core, out, sweep, "", now).ok());
  expect("succeeded", "cancelled");
}

TEST_F(ViewsTest, SampleOutcomesAreTheVerdictsWithTheirCells) {
  FinishAll();
  EXPECT_EQ(Select("SELECT sweep, model, precision, problem, sample, verdict, passed "
                   "FROM sample_outcomes WHERE precision = '2-bit' ORDER BY problem, sample"),
            (Rows{{"1", "m", "2-bit", "p1", "0", "pass", "1"},
                  {"1", "m", "2-bit", "p1", "1", "pass", "1"},
                  {"1", "m", "2-bit", "p2", "0", "wrong", "0"},
                  {"1", "m", "2-bit", "p2", "1", "wrong", "0"}}));
  const auto rows = store->SampleOutcomes(sweep);
  ASSERT_TRUE(rows.ok());
  ASSERT_EQ(rows->size(), 8u);
  EXPECT_EQ(rows->at(0).verdict, Verdicts(1)[0]);
}

TEST_F(ViewsTest, StageHistoryTellsEveryAttempt) {
  const Fence fence = Lease("quantize m", worker);
  Say(worker, StageStarted{fence});
  now += absl::Milliseconds(1500);
  StageSucceeded message;
  message.fence = fence;
  message.peak_gpu_bytes = 77;
  Say(worker, message);
  Fail(worker, Lease("generate m fp16", worker), FailureClass::kHang);
  Commit();
  EXPECT_EQ(Select("SELECT stage, kind, attempt, worker, started, ended, state, failure_class, "
                   "seconds, peak_gpu_bytes FROM stage_history WHERE kind = 'quantize'"),
            (Rows{{Key("quantize m").value(),
                   "quantize",
                   "1",
                   "w",
                   "2027-01-15T08:00:00.000Z",
                   "2027-01-15T08:00:01.500Z",
                   "succeeded",
                   "NULL",
                   "1.5",
                   "77"}}));
  EXPECT_EQ(Select("SELECT state, failure_class FROM stage_history WHERE kind = 'generate'"),
            (Rows{{"failed", "hang"}}));
}

TEST_F(ViewsTest, ASummaryThatIsNotJsonHarmsNothing) {
  const Fence fence = Lease("quantize m", worker);
  StageSucceeded message;
  message.fence = fence;
  message.artifact.summary = "not JSON";
  Say(worker, message);
  Commit();
  EXPECT_EQ(Select("SELECT size_bytes FROM cell_results WHERE precision = '2-bit'"),
            (Rows{{"NULL"}}));
}

}  // namespace
}  // namespace bitsweep::testing
