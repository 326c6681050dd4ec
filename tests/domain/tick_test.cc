#include "tests/domain/scene.h"

namespace bitsweep::testing {
namespace {

class TickTest : public Scene {
 protected:
  void SetUp() override {
    sweep = Submit({{}});
    worker = Register(Offer("w"));
    Run("inspect m 1", worker);
    Plan(sweep, {});
    Tick(kTickInterval);
    Clear();
  }
  SweepId sweep;
  WorkerId worker;
};

TEST_F(TickTest, ASilentWorkerIsLostAndItsStagesRunAgain) {
  const Fence fence = Lease("quantize m", worker);
  Say(worker, StageStarted{fence});
  Tick(kWorkerLostAfter);
  EXPECT_EQ(StateOf("quantize m"), StageState::kRunning);
  Tick(kTickInterval);
  EXPECT_EQ(StateOf("quantize m"), StageState::kReady);
  EXPECT_EQ(core.workers_lost, 1);
  EXPECT_EQ(core.FindWorker(worker)->state, WorkerState::kLost);
  // It was only slow: it is welcome again, what it held is not.
  Clear();
  Say(worker, Heartbeat{{fence}});
  EXPECT_EQ(core.FindWorker(worker)->state, WorkerState::kConnected);
  EXPECT_EQ(Sent<CancelAttempt>(worker).size(), 1u);
  EXPECT_EQ(Lease("quantize m", worker).attempt, 2);
}

TEST_F(TickTest, HeartbeatsKeepAWorker) {
  const Fence fence = Lease("quantize m", worker);
  Say(worker, StageStarted{fence});
  TickAlive(absl::Minutes(5), {{worker, Heartbeat{{fence}}}});
  EXPECT_EQ(StateOf("quantize m"), StageState::kRunning);
}

TEST_F(TickTest, AStalledCoordinatorBlamesNobody) {
  const Fence fence = Lease("quantize m", worker);
  Say(worker, StageStarted{fence});
  now += absl::Hours(1);
  OnTick(core, out, now);
  EXPECT_EQ(StateOf("quantize m"), StageState::kRunning);
  EXPECT_EQ(core.workers_lost, 0);
  // From here on silence counts.
  Tick(kWorkerLostAfter + absl::Seconds(1));
  EXPECT_EQ(StateOf("quantize m"), StageState::kReady);
}

TEST_F(TickTest, AClockThatGoesBackBlamesNobody) {
  const Fence fence = Lease("quantize m", worker);
  Say(worker, StageStarted{fence});
  now -= absl::Hours(1);
  OnTick(core, out, now);
  Tick(kWorkerLostAfter - absl::Seconds(1));
  EXPECT_EQ(StateOf("quantize m"), StageState::kRunning);
  Tick(absl::Seconds(3));
  EXPECT_EQ(StateOf("quantize m"), StageState::kReady);
}

TEST_F(TickTest, AnAttemptThatHeartbeatsDoNotNameIsTakenBack) {
  const Fence fence = Lease("quantize m", worker);
  TickAlive(kUnconfirmedAfter, {{worker, Heartbeat{}}});
  EXPECT_EQ(StateOf("quantize m"), StageState::kLeased);
  Clear();
  TickAlive(absl::Seconds(1), {{worker, Heartbeat{}}});
  EXPECT_EQ(StateOf("quantize m"), StageState::kReady);
  EXPECT_EQ(Sent<CancelAttempt>(worker).size(), 1u);
  EXPECT_EQ(Sent<CancelAttempt>(worker)[0].fence, fence);
}

TEST_F(TickTest, RetriesWaitForTheirBackoff) {
  const Fence fence = Lease("quantize m", worker);
  Fail(worker, fence, FailureClass::kOomHost);
  EXPECT_EQ(StateOf("quantize m"), StageState::kFailed);
  EXPECT_FALSE(At("quantize m").Ended());
  EXPECT_EQ(StateOf("generate m 2-bit"), StageState::kWaiting);
  EXPECT_EQ(Cells(sweep, CellState::kFailed), 0);
  const absl::Duration backoff = PolicyOf(FailureClass::kOomHost).first;
  TickAlive(backoff - kTickInterval, {{worker, Heartbeat{}}});
  EXPECT_EQ(StateOf("quantize m"), StageState::kFailed);
  TickAlive(kTickInterval, {{worker, Heartbeat{}}});
  EXPECT_EQ(StateOf("quantize m"), StageState::kReady);
  EXPECT_EQ(Lease("quantize m", worker).attempt, 2);
}

TEST_F(TickTest, AStageThatKeepsLosingWorkersIsGivenUp) {
  const int attempts = PolicyOf(FailureClass::kWorkerLost).retries_max + 1;
  for (int i = 1; i <= attempts; ++i) {
    ASSERT_EQ(StateOf("quantize m"), StageState::kReady) << i;
    const WorkerId victim = Register(Offer("victim"));
    const Fence fence = Lease("quantize m", victim);
    Say(victim, StageStarted{fence});
    EXPECT_EQ(fence.attempt, i);
    Tick(kWorkerLostAfter + absl::Seconds(1));
  }
  EXPECT_TRUE(At("quantize m").FailedForGood());
  EXPECT_EQ(StateOf("generate m 2-bit"), StageState::kBlocked);
  EXPECT_EQ(StateOf("grade m 2-bit"), StageState::kBlocked);
  EXPECT_EQ(Cells(sweep, CellState::kFailed), 1);
  EXPECT_TRUE(SweepAt(sweep).failures.front().final);
  EXPECT_EQ(SweepAt(sweep).failures.size(), static_cast<std::size_t>(attempts));
}

TEST_F(TickTest, LeasesThatAreLostBeforeTheirStartAreNotFreeForEver) {
  for (int i = 0; i <= PolicyOf(FailureClass::kWorkerLost).retries_max; ++i) {
    const WorkerId victim = Register(Offer("victim"));
    EXPECT_EQ(Lease("quantize m", victim).attempt, 1);
    Tick(kWorkerLostAfter + absl::Seconds(1));
  }
  EXPECT_TRUE(At("quantize m").FailedForGood());
}

TEST_F(TickTest, EndedRegistrationsAreForgottenInTime) {
  for (std::size_t i = 0; i < kWorkersRemembered + 20; ++i) {
    Say(Register(Offer(std::to_string(i) + "w")), Goodbye{});
  }
  Tick(kTickInterval);
  EXPECT_LE(core.workers.size(), kWorkersRemembered + 1);
  EXPECT_NE(core.FindWorker(worker), nullptr);
}

}  // namespace
}  // namespace bitsweep::testing
