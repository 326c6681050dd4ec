#include "coordinator/scheduler/schedule.h"

#include "coordinator/scheduler/matching.h"
#include "tests/domain/scene.h"

namespace bitsweep::testing {
namespace {

class ScheduleTest : public Scene {
 protected:
  /// A sweep whose model is planned, without a worker in the way.
  SweepId Planned(const Study& study, int priority = 0) {
    const SweepId sweep = Submit({study}, "", priority);
    const WorkerId helper = Register(Offer("helper"));
    Run(InspectName(study), helper);
    Plan(sweep, study);
    Say(helper, Goodbye{});
    return sweep;
  }
  bitsweep::Plan Decide() { return Schedule(TakeSnapshot(core), now); }
  std::vector<std::string> Labels(const bitsweep::Plan& plan) {
    std::vector<std::string> labels;
    for (const Placement& placement : plan) {
      labels.push_back(core.FindStage(placement.stage)->definition().label);
    }
    return labels;
  }
};

TEST_F(ScheduleTest, NothingToDoWithoutWorkersOrStages) {
  EXPECT_TRUE(Decide().empty());
  Planned({});
  EXPECT_TRUE(Decide().empty());
}

TEST_F(ScheduleTest, TheLongestChainGoesFirst) {
  Planned({});
  Register(Offer("w", 1));
  EXPECT_EQ(Labels(Decide()), std::vector<std::string>{"quantize m"});
}

TEST_F(ScheduleTest, PriorityBeatsAgeBeatsChains) {
  Planned({});                                // "generate m fp16" is the shorter chain here
  Planned({.model = "n", .finetune = true});  // longer, but newer
  Register(Offer("w", 8));
  EXPECT_EQ(
      Labels(Decide()),
      (std::vector<std::string>{"quantize m", "generate m fp16", "quantize n", "generate n fp16"}));
  core.FindSweep(SweepId(2))->submission.priority = 0;
  Planned({.model = "o"}, 9);
  WorkerOffer all = Offer("w2", 8);
  all.models = {"m", "n", "o"};
  Register(all);
  EXPECT_EQ(Labels(Decide()).front(), "quantize o");
}

TEST_F(ScheduleTest, SlotsAreFilledAndNotMore) {
  Planned({});
  Planned({.model = "n"});
  const WorkerId one = Register(Offer("one", 1));
  const WorkerId two = Register(Offer("two", 2));
  const bitsweep::Plan plan = Decide();
  EXPECT_EQ(plan.size(), 3u);
  EXPECT_EQ(
      std::count_if(plan.begin(), plan.end(), [&](const Placement& p) { return p.worker == one; }),
      1);
  EXPECT_EQ(
      std::count_if(plan.begin(), plan.end(), [&](const Placement& p) { return p.worker == two; }),
      2);
  for (const Placement& placement : plan) {
    EXPECT_EQ(placement.cores, placement.worker == one ? 8 : 4);
  }
  EXPECT_EQ(OnAssign(core, out, plan, now), 3);
  Check();
  EXPECT_TRUE(Decide().empty());
}

TEST_F(ScheduleTest, AStageGoesWhereItsInputsAre) {
  Planned({});
  Register(Offer("a"));
  const WorkerId holder = Register(Offer("b"));
  Run("quantize m", holder);
  for (const Placement& placement : Decide()) {
    if (placement.stage == Key("generate m 2-bit")) {
      EXPECT_EQ(placement.worker, holder);
      return;
    }
  }
  FAIL() << "generate m 2-bit was not placed";
}

TEST_F(ScheduleTest, OneStageAGpu) {
  const SweepId sweep = Submit({{}});
  const WorkerId helper = Register(Offer("helper"));
  Run("inspect m 1", helper);
  SweepPlan plan = ModelPlan({});
  for (StageDefinition& stage : plan.stages) {
    if (stage.kind != StageKind::kGrade) {
      stage.needs.device = "cuda";
      stage.needs.gpus = 1;
      stage.needs.gpu_bytes = std::int64_t{24} << 30;
    }
  }
  ASSERT_TRUE(OnModelPlanned(core, out, sweep, Key("inspect m 1"), plan, now).ok());
  EXPECT_TRUE(Decide().empty());
  WorkerOffer small = Offer("small");
  small.gpus = {{"T4", std::int64_t{16} << 30, "7.5"}};
  Register(small);
  EXPECT_TRUE(Decide().empty());
  WorkerOffer big = Offer("big");
  big.gpus = {{"H100", std::int64_t{80} << 30, "9.0"}};
  const WorkerId gpu = Register(big);
  const bitsweep::Plan first = Decide();
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0].worker, gpu);
  ASSERT_EQ(OnAssign(core, out, first, now), 1);
  Check();
  EXPECT_TRUE(Decide().empty());
}

TEST_F(ScheduleTest, AHundredThousandReadyStagesCostNoMoreThanTheRoom) {
  SweepPlan plan = InspectPlan({{}});
  const SweepId sweep = Submit({{}});
  Run("inspect m 1", Register(Offer("w", 4)));
  plan = ModelPlan({});
  for (int i = 0; i < 2000; ++i) {
    plan.stages.push_back(Define(StageKind::kQuantize, std::to_string(i) + " more"));
  }
  ASSERT_TRUE(OnModelPlanned(core, out, sweep, Key("inspect m 1"), plan, now).ok());
  const Snapshot snapshot = TakeSnapshot(core);
  for (const CandidateClass& group : snapshot.classes) {
    EXPECT_LE(group.candidates.size(), 4u);
  }
  EXPECT_EQ(Schedule(snapshot, now).size(), 4u);
}

TEST(MatchingTest, EveryNeedIsLookedAt) {
  StageNeeds needs;
  needs.semantics = 1;
  needs.host_bytes = 1000;
  needs.cores = 2;
  needs.isolation = "landlock";
  needs.model_paths = {"m"};
  const WorkerOffer good = Offer("w");
  EXPECT_TRUE(CanRun(StageKind::kGrade, needs, good));
  EXPECT_TRUE(UnmetNeeds(StageKind::kGrade, needs, good).empty());
  const auto lacks = [&](Unmet need, WorkerOffer offer, StageNeeds with) {
    const auto unmet = UnmetNeeds(StageKind::kGrade, with, offer);
    EXPECT_EQ(CanRun(StageKind::kGrade, with, offer), unmet.empty());
    return unmet.size() == 1 && unmet[0].need == need && !unmet[0].text.empty();
  };
  WorkerOffer offer = good;
  offer.stages = {StageKind::kQuantize};
  EXPECT_TRUE(lacks(Unmet::kKind, offer, needs));
  offer = good;
  offer.semantics["grade"] = 2;
  EXPECT_TRUE(lacks(Unmet::kSemantics, offer, needs));
  offer = good;
  offer.host_bytes = 999;
  EXPECT_TRUE(lacks(Unmet::kHostMemory, offer, needs));
  offer = good;
  offer.cores = 1;
  EXPECT_TRUE(lacks(Unmet::kCores, offer, needs));
  offer = good;
  offer.slots = 0;
  EXPECT_TRUE(lacks(Unmet::kCores, offer, needs));
  offer = good;
  offer.isolation = "none";
  EXPECT_TRUE(lacks(Unmet::kIsolation, offer, needs));
  offer.isolation = "landlock";
  EXPECT_TRUE(CanRun(StageKind::kGrade, needs, offer));
  offer = good;
  offer.models = {"n"};
  EXPECT_TRUE(lacks(Unmet::kModel, offer, needs));
  StageNeeds gpu = needs;
  gpu.gpus = 1;
  gpu.gpu_bytes = 100;
  EXPECT_TRUE(lacks(Unmet::kGpus, good, gpu));
  offer = good;
  offer.gpus = {{"small", 99, "7.5"}};
  EXPECT_TRUE(lacks(Unmet::kGpuMemory, offer, gpu));
  offer.gpus[0].memory_bytes = 100;
  EXPECT_TRUE(CanRun(StageKind::kGrade, gpu, offer));
}

}  // namespace
}  // namespace bitsweep::testing
