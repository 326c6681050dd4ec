#include "tests/domain/scene.h"

namespace bitsweep::testing {
namespace {

class ControlTest : public Scene {
 protected:
  void SetUp() override {
    sweep = Submit({{}});
    worker = Register(Offer("w"));
    Run("inspect m 1", worker);
    Plan(sweep, {});
    Clear();
  }
  SweepId sweep;
  WorkerId worker;
};

TEST_F(ControlTest, CancelKillsWhatRunsAndKeepsWhatIsDone) {
  Run("generate m fp16", worker);
  const Fence fence = Lease("quantize m", worker);
  Say(worker, StageStarted{fence});
  Clear();
  const auto changed = OnCancelSweep(core, out, sweep, "enough", now);
  ASSERT_TRUE(changed.ok());
  Check();
  EXPECT_EQ(*changed, 4);  // quantize, grade fp16, generate and grade 2-bit
  EXPECT_EQ(SweepAt(sweep).state, SweepState::kCancelled);
  EXPECT_EQ(StateOf("generate m fp16"), StageState::kSucceeded);
  EXPECT_EQ(StateOf("quantize m"), StageState::kCancelled);
  EXPECT_EQ(Cells(sweep, CellState::kCancelled), 2);
  ASSERT_EQ(Sent<CancelAttempt>(worker).size(), 1u);
  EXPECT_EQ(Sent<CancelAttempt>(worker)[0].fence, fence);
  // Its last words come too late.
  Clear();
  Succeed(worker, fence, "quantize m");
  EXPECT_TRUE(Sent<ResultAcknowledged>(worker)[0].stale);
  EXPECT_EQ(StateOf("quantize m"), StageState::kCancelled);
  // Again: nothing to do, no error.
  EXPECT_EQ(*OnCancelSweep(core, out, sweep, "", now), 0);
  EXPECT_EQ(OnPause(core, out, sweep, now).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(OnRetry(core, out, sweep, now).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(OnCancelSweep(core, out, SweepId(77), "", now).status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(ControlTest, SharedStagesLiveAsLongAsOneSweepWantsThem) {
  const Study again{.nonce = "2"};
  const SweepId second = Submit({again}, "", 7);
  Run("inspect m 2", worker);
  Plan(second, again);
  const Fence fence = Lease("quantize m", worker);
  Say(worker, StageStarted{fence});
  EXPECT_EQ(At("generate m fp16").priority, 7);
  Clear();
  EXPECT_EQ(*OnCancelSweep(core, out, second, "", now), 0);
  Check();
  EXPECT_EQ(StateOf("quantize m"), StageState::kRunning);
  EXPECT_TRUE(Sent<CancelAttempt>(worker).empty());
  EXPECT_EQ(At("generate m fp16").priority, 0);
  EXPECT_EQ(*OnCancelSweep(core, out, sweep, "", now), 5);
  EXPECT_EQ(StateOf("quantize m"), StageState::kCancelled);
  EXPECT_EQ(Sent<CancelAttempt>(worker).size(), 1u);
}

TEST_F(ControlTest, ANewSweepBringsCancelledStagesBack) {
  ASSERT_TRUE(OnCancelSweep(core, out, sweep, "", now).ok());
  const Study again{.nonce = "2"};
  const SweepId second = Submit({again});
  Run("inspect m 2", worker);
  Plan(second, again);
  EXPECT_EQ(StateOf("quantize m"), StageState::kReady);
  EXPECT_EQ(StateOf("generate m 2-bit"), StageState::kWaiting);
  for (const char* name :
       {"quantize m", "generate m fp16", "grade m fp16", "generate m 2-bit", "grade m 2-bit"}) {
    Run(name, worker);
  }
  EXPECT_EQ(SweepAt(second).state, SweepState::kSucceeded);
  EXPECT_EQ(SweepAt(sweep).state, SweepState::kCancelled);
  EXPECT_EQ(Cells(sweep, CellState::kSucceeded), 2);
}

TEST_F(ControlTest, APausedSweepStartsNothingNew) {
  const Fence fence = Lease("quantize m", worker);
  Say(worker, StageStarted{fence});
  EXPECT_EQ(*OnPause(core, out, sweep, now), 5);
  Check();
  EXPECT_EQ(SweepAt(sweep).state, SweepState::kPaused);
  EXPECT_EQ(OnAssign(core, out, {{Key("generate m fp16"), worker, 1}}, now), 0);
  // What runs goes on.
  Succeed(worker, fence, "quantize m");
  EXPECT_EQ(StateOf("generate m 2-bit"), StageState::kReady);
  EXPECT_FALSE(At("generate m 2-bit").indexed);
  EXPECT_EQ(*OnPause(core, out, sweep, now), 0);
  EXPECT_EQ(*OnResume(core, out, sweep, now), 4);
  Check();
  EXPECT_EQ(SweepAt(sweep).state, SweepState::kRunning);
  EXPECT_EQ(OnAssign(core, out, {{Key("generate m fp16"), worker, 1}}, now), 1);
}

TEST_F(ControlTest, AnotherSweepRunsWhatAPausedOneShares) {
  ASSERT_TRUE(OnPause(core, out, sweep, now).ok());
  const Study again{.nonce = "2"};
  const SweepId second = Submit({again});
  Run("inspect m 2", worker);
  Plan(second, again);
  EXPECT_TRUE(At("quantize m").indexed);
}

TEST_F(ControlTest, FailureBlocksDownstreamAndRetryUnblocks) {
  const Fence fence = Lease("quantize m", worker);
  Fail(worker, fence, FailureClass::kBadInput);
  EXPECT_TRUE(At("quantize m").FailedForGood());
  EXPECT_EQ(StateOf("generate m 2-bit"), StageState::kBlocked);
  EXPECT_EQ(StateOf("grade m 2-bit"), StageState::kBlocked);
  EXPECT_EQ(Cells(sweep, CellState::kFailed), 1);
  EXPECT_EQ(SweepAt(sweep).state, SweepState::kRunning);
  Run("generate m fp16", worker);
  Run("grade m fp16", worker);
  EXPECT_EQ(SweepAt(sweep).state, SweepState::kFailed);
  EXPECT_TRUE(SweepAt(sweep).ended.has_value());
  EXPECT_EQ(*OnRetry(core, out, sweep, now), 1);
  Check();
  EXPECT_EQ(SweepAt(sweep).state, SweepState::kRunning);
  EXPECT_FALSE(SweepAt(sweep).ended.has_value());
  EXPECT_EQ(StateOf("quantize m"), StageState::kReady);
  EXPECT_TRUE(At("quantize m").indexed);
  EXPECT_EQ(StateOf("generate m 2-bit"), StageState::kWaiting);
  EXPECT_EQ(StateOf("grade m 2-bit"), StageState::kWaiting);
  for (const char* name : {"quantize m", "generate m 2-bit", "grade m 2-bit"}) {
    Run(name, worker);
  }
  EXPECT_EQ(At("quantize m").attempt(), 2);
  EXPECT_EQ(SweepAt(sweep).state, SweepState::kSucceeded);
}

TEST_F(ControlTest, RetryLooksAgainAtModelsThatCouldNotBePlanned) {
  const Study bad{.model = "n", .nonce = "2"};
  const SweepId second = Submit({bad});
  Run("inspect n 2", worker);
  ASSERT_TRUE(OnPlanFailed(core, out, second, Key("inspect n 2"), "broken", now).ok());
  EXPECT_EQ(SweepAt(second).state, SweepState::kFailed);
  EXPECT_EQ(*OnRetry(core, out, second, now), 1);
  Check();
  EXPECT_EQ(SweepAt(second).state, SweepState::kPlanning);
  EXPECT_TRUE(SweepAt(second).cells[0].failure.empty());
  EXPECT_EQ(StateOf("inspect n 2"), StageState::kReady);
  Clear();
  Run("inspect n 2", worker);
  ASSERT_EQ(out.plans.size(), 1u);
  Plan(second, bad);
  EXPECT_EQ(SweepAt(second).state, SweepState::kRunning);
}

TEST_F(ControlTest, AFailedInspectionFailsItsCellsUntilItIsRetried) {
  const Study other{.model = "n", .nonce = "2"};
  const SweepId second = Submit({other});
  Fail(worker, Lease("inspect n 2", worker), FailureClass::kBadInput);
  EXPECT_EQ(Cells(second, CellState::kFailed), 2);
  EXPECT_EQ(SweepAt(second).state, SweepState::kFailed);
  EXPECT_EQ(*OnRetry(core, out, second, now), 1);
  Check();
  EXPECT_EQ(Cells(second, CellState::kPending), 2);
  EXPECT_EQ(SweepAt(second).state, SweepState::kPlanning);
}

TEST_F(ControlTest, ALostArtifactIsMadeAgain) {
  Run("quantize m", worker);
  EXPECT_EQ(StateOf("generate m 2-bit"), StageState::kReady);
  Clear();
  ASSERT_TRUE(OnArtifactLost(core, out, Key("quantize m"), now).ok());
  Check();
  EXPECT_EQ(StateOf("quantize m"), StageState::kReady);
  EXPECT_EQ(StateOf("generate m 2-bit"), StageState::kWaiting);
  EXPECT_EQ(Changed<change::ArtifactRemoved>().size(), 1u);
  // It fails this time: what waits for it is blocked.
  Fail(worker, Lease("quantize m", worker), FailureClass::kBadInput);
  EXPECT_EQ(StateOf("generate m 2-bit"), StageState::kBlocked);
  EXPECT_EQ(OnArtifactLost(core, out, Key("quantize m"), now).code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(OnArtifactLost(core, out, Key("nothing"), now).code(), absl::StatusCode::kNotFound);
}

TEST_F(ControlTest, AnArtifactLostUnderARunningConsumerStopsItsRetry) {
  Run("quantize m", worker);
  const Fence fence = Lease("generate m 2-bit", worker);
  ASSERT_TRUE(OnArtifactLost(core, out, Key("quantize m"), now).ok());
  Check();
  EXPECT_EQ(StateOf("generate m 2-bit"), StageState::kLeased);
  Say(worker, Goodbye{});
  // Back to where its missing input leaves it.
  EXPECT_EQ(StateOf("generate m 2-bit"), StageState::kWaiting);
  EXPECT_NE(fence.lease, LeaseId(0));
}

TEST_F(ControlTest, ALostResultBringsAnEndedSweepBackToLife) {
  for (const char* name :
       {"quantize m", "generate m fp16", "grade m fp16", "generate m 2-bit", "grade m 2-bit"}) {
    Run(name, worker);
  }
  ASSERT_EQ(SweepAt(sweep).state, SweepState::kSucceeded);
  ASSERT_TRUE(OnArtifactLost(core, out, Key("grade m 2-bit"), now).ok());
  Check();
  EXPECT_EQ(SweepAt(sweep).state, SweepState::kRunning);
  EXPECT_TRUE(At("grade m 2-bit").indexed);
  Run("grade m 2-bit", worker);
  EXPECT_EQ(SweepAt(sweep).state, SweepState::kSucceeded);
}

}  // namespace
}  // namespace bitsweep::testing
