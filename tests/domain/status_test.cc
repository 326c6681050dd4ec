#include "coordinator/domain/status.h"

#include "tests/domain/scene.h"

namespace bitsweep::testing {
namespace {

class StatusTest : public Scene {
 protected:
  void SetUp() override {
    sweep = Submit({{}});
    worker = Register(Offer("w"));
    Run("inspect m 1", worker);
    Plan(sweep, {});
  }
  SweepId sweep;
  WorkerId worker;
};

TEST_F(StatusTest, ShowsCountsRunningStagesAndFailures) {
  const Fence quantize = Lease("quantize m", worker);
  Say(worker, StageStarted{quantize});
  Say(worker, StageProgress{quantize, "blocks", "block", 3, 12});
  Fail(worker, Lease("generate m fp16", worker), FailureClass::kHang);
  TickAlive(absl::Seconds(3), {{worker, Heartbeat{{quantize}}}});
  const SweepView view = DescribeSweep(core, SweepAt(sweep), now);
  EXPECT_EQ(view.summary.name, "study");
  EXPECT_EQ(view.summary.cells, 2);
  EXPECT_EQ(view.workers, 1);
  ASSERT_EQ(view.running.size(), 1u);
  EXPECT_EQ(view.running[0].label, "quantize m");
  EXPECT_EQ(view.running[0].worker, "w");
  EXPECT_EQ(view.running[0].progress.done, 3);
  // 3 of 12 in 3 s: 9 s to go.
  EXPECT_EQ(view.running[0].eta, absl::Seconds(9));
  ASSERT_EQ(view.failures.size(), 1u);
  EXPECT_EQ(view.failures[0].failure, FailureClass::kHang);
  EXPECT_FALSE(view.failures[0].final);
  int stages = 0;
  for (const StageCount& count : view.stages) {
    stages += count.count;
  }
  EXPECT_EQ(stages, 6);
  // Nothing is known yet of how long generate and grade take.
  EXPECT_FALSE(view.eta.has_value());
}

TEST_F(StatusTest, TheEstimateComesFromHistoryOnceThereIsSome) {
  core.history[StageKind::kQuantize] = {2, 20.0};
  core.history[StageKind::kGenerate] = {1, 5.0};
  core.history[StageKind::kGrade] = {4, 4.0};
  EXPECT_EQ(DescribeSweep(core, SweepAt(sweep), now).eta, absl::Seconds(10 + 2 * 5 + 2 * 1));
}

TEST_F(StatusTest, KeepsTheNewestFailuresOnly) {
  for (std::size_t i = 0; i < kFailureNotesMax + 5; ++i) {
    const WorkerId victim = Register(Offer(std::to_string(i) + "v"));
    const Fence fence = Lease("quantize m", victim);
    Say(victim, StageStarted{fence});
    Say(victim, Goodbye{"stop"});
  }
  const SweepView view = DescribeSweep(core, SweepAt(sweep), now);
  ASSERT_EQ(view.failures.size(), kFailureNotesMax);
  EXPECT_EQ(view.failures.front().attempt, static_cast<int>(kFailureNotesMax + 5));
}

TEST_F(StatusTest, SweepsAreFoundByIdNameAndLatest) {
  const SweepId second = Submit({{.nonce = "2"}});
  EXPECT_EQ(*ResolveSweep(core, "1"), sweep);
  EXPECT_EQ(*ResolveSweep(core, "study"), second);
  EXPECT_EQ(*ResolveSweep(core, "latest"), second);
  const absl::Status missing = ResolveSweep(core, "stud").status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_NE(missing.message().find("2 (study)"), std::string::npos) << missing;
  EXPECT_EQ(ListSweeps(core).front().id, second);
}

TEST_F(StatusTest, StagesAreFoundByPrefix) {
  const std::string key = Key("quantize m").value();
  EXPECT_EQ(*ResolveStage(core, key), Key("quantize m"));
  EXPECT_EQ(*ResolveStage(core, key.substr(0, 8)), Key("quantize m"));
  EXPECT_EQ(ResolveStage(core, key.substr(0, kStagePrefixMin - 1)).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ResolveStage(core, "quantize").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ResolveStage(core, std::string(64, '0')).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(StatusTest, WorkersAreListedWithWhatTheyRun) {
  Lease("quantize m", worker);
  const WorkerId gone = Register(Offer("gone"));
  Say(gone, Goodbye{});
  WorkerOffer with_gpu = Offer("gpu");
  EXPECT_FALSE(AnyGpuConnected(core));
  with_gpu.gpus = {{"H100", std::int64_t{80} << 30, "9.0"}};
  Register(with_gpu);
  EXPECT_TRUE(AnyGpuConnected(core));
  const std::vector<WorkerView> list = ListWorkers(core);
  ASSERT_EQ(list.size(), 3u);
  EXPECT_EQ(list[0].running, std::vector<StageKey>{Key("quantize m")});
  EXPECT_EQ(list[2].offer.name, "gone");
  EXPECT_EQ(ConnectedWorkers(core), 2);
}

}  // namespace
}  // namespace bitsweep::testing
