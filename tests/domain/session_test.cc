#include <cmath>

#include "tests/domain/scene.h"

namespace bitsweep::testing {
namespace {

class SessionTest : public Scene {
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

TEST_F(SessionTest, AnAssignmentCarriesFenceInputsAndCores) {
  Run("generate m fp16", worker);
  Clear();
  ASSERT_EQ(OnAssign(core, out, {{Key("grade m fp16"), worker, 2}}, now), 1);
  const auto sent = Sent<Assignment>(worker);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].fence, At("grade m fp16").fence());
  EXPECT_EQ(sent[0].fence.attempt, 1);
  EXPECT_EQ(sent[0].cores, 2);
  EXPECT_EQ(sent[0].stage.label, "grade m fp16");
  const auto input = sent[0].artifacts.find(Key("generate m fp16").value());
  ASSERT_NE(input, sent[0].artifacts.end());
  EXPECT_EQ(input->second.files, ArtifactOf("generate m fp16").files);
}

TEST_F(SessionTest, LeasesAreNeverUsedTwice) {
  const Fence first = Lease("quantize m", worker);
  const Fence second = Lease("generate m fp16", worker);
  EXPECT_LT(first.lease, second.lease);
  const auto counters = Changed<change::CountersAdvanced>();
  ASSERT_FALSE(counters.empty());
  EXPECT_EQ(counters.back().counters, core.counters);
}

TEST_F(SessionTest, OnlyPlacementsThatStillFitAreLeased) {
  const WorkerId narrow = Register(Offer("narrow", 1));
  Lease("quantize m", narrow);
  EXPECT_EQ(OnAssign(core,
                     out,
                     {{Key("generate m fp16"), narrow, 1},         // no slot left
                      {Key("quantize m"), worker, 1},              // leased already
                      {Key("grade m fp16"), worker, 1},            // waits
                      {Key("nothing"), worker, 1},                 // unknown
                      {Key("generate m fp16"), WorkerId(99), 1}},  // nobody
                     now),
            0);
  OnWorkerDisconnected(core, out, worker, now);
  EXPECT_EQ(OnAssign(core, out, {{Key("generate m fp16"), worker, 1}}, now), 0);
  Check();
}

TEST_F(SessionTest, ASuccessIsAcknowledgedAgainWhenTheAcknowledgementWasLost) {
  const Fence fence = Lease("quantize m", worker);
  Say(worker, StageStarted{fence});
  Succeed(worker, fence, "quantize m");
  Clear();
  Succeed(worker, fence, "quantize m");
  const auto sent = Sent<ResultAcknowledged>(worker);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].fence, fence);
  EXPECT_FALSE(sent[0].stale);
  EXPECT_TRUE(out.changes.empty());
  EXPECT_EQ(core.stale_messages, 0);
}

TEST_F(SessionTest, AFailureIsAcknowledgedAgainToo) {
  const Fence fence = Lease("quantize m", worker);
  Fail(worker, fence, FailureClass::kBadInput);
  Clear();
  Fail(worker, fence, FailureClass::kBadInput);
  ASSERT_EQ(Sent<ResultAcknowledged>(worker).size(), 1u);
  EXPECT_FALSE(Sent<ResultAcknowledged>(worker)[0].stale);
  EXPECT_TRUE(out.changes.empty());
}

TEST_F(SessionTest, StaleMessagesAreCountedAndNeverApplied) {
  const Fence old = Lease("quantize m", worker);
  Say(worker, StageStarted{old});
  Say(worker, Goodbye{"test"});
  const WorkerId next = Register(Offer("x"));
  const Fence current = Lease("quantize m", next);
  EXPECT_EQ(current.attempt, 2);
  const WorkerId back = Register(Offer("w"));
  Clear();
  Succeed(back, old, "quantize m");
  EXPECT_EQ(StateOf("quantize m"), StageState::kLeased);
  ASSERT_EQ(Sent<ResultAcknowledged>(back).size(), 1u);
  EXPECT_TRUE(Sent<ResultAcknowledged>(back)[0].stale);
  Fail(back, old, FailureClass::kBug);
  Say(back, StageProgress{old, "epoch", "step", 1, 2});
  Say(back, StageStarted{old});
  EXPECT_EQ(StateOf("quantize m"), StageState::kLeased);
  EXPECT_EQ(core.stale_messages, 4);
  EXPECT_EQ(Sent<CancelAttempt>(back).size(), 2u);
  EXPECT_TRUE(out.changes.empty());
  for (const Fence& forged : {Fence{current.stage, current.attempt + 1, current.lease},
                              Fence{current.stage, current.attempt, LeaseId(999)},
                              Fence{Key("nothing"), 1, LeaseId(1)}}) {
    Say(back, StageStarted{forged});
  }
  EXPECT_EQ(core.stale_messages, 7);
  EXPECT_EQ(StateOf("quantize m"), StageState::kLeased);
}

TEST_F(SessionTest, AResultImpliesTheStartThatGotLost) {
  const Fence fence = Lease("quantize m", worker);
  Succeed(worker, fence, "quantize m");
  EXPECT_EQ(StateOf("quantize m"), StageState::kSucceeded);
  EXPECT_EQ(Changed<change::AttemptStarted>().size(), 1u);
}

TEST_F(SessionTest, VerdictsTravelWithTheResult) {
  Run("generate m fp16", worker);
  const Fence fence = Lease("grade m fp16", worker);
  Clear();
  VerdictRow row;
  row.problem = "p1";
  row.verdict = "pass";
  row.passed = true;
  Succeed(worker, fence, "grade m fp16", {row});
  const auto ingested = Changed<change::VerdictsIngested>();
  ASSERT_EQ(ingested.size(), 1u);
  EXPECT_EQ(ingested[0].stage, Key("grade m fp16"));
  EXPECT_EQ(ingested[0].rows.size(), 1u);
}

TEST_F(SessionTest, AResultThatCannotBeStoredIsTheToolsBug) {
  const auto refuse = [&](const StageSucceeded& bad, std::vector<VerdictRow> rows) {
    StageSucceeded message = bad;
    message.fence = Lease("quantize m", worker);
    Clear();
    Say(worker, message, std::move(rows));
    EXPECT_EQ(StateOf("quantize m"), StageState::kFailed);
    const auto ended = Changed<change::AttemptEnded>();
    ASSERT_EQ(ended.size(), 1u);
    EXPECT_EQ(ended[0].failure, FailureClass::kBug);
    EXPECT_FALSE(ended[0].message.empty());
    EXPECT_TRUE(Changed<change::ArtifactPublished>().empty());
    ASSERT_TRUE(OnRetry(core, out, sweep, now).ok());
  };
  StageSucceeded message;
  const Digest digest(Sha256Hex("x"));
  for (const char* name : {"", "/abs", "a/../b", "a//b", "./a", ".."}) {
    message.artifact.files = {{name, 1, digest}};
    refuse(message, {});
  }
  message.artifact.files = {{"a", 1, digest}, {"a", 1, digest}};
  refuse(message, {});
  message.artifact.files = {{"a", -1, digest}};
  refuse(message, {});
  message.artifact.files = {{"a", 1, Digest("beef")}};
  refuse(message, {});
  message.artifact.files = {{"a/b.json", 1, digest}};
  VerdictRow row;
  row.problem = "p";
  row.verdict = "pass";
  refuse(message, {row, row});
  VerdictRow ours = row;
  ours.verdict = "infrastructure";
  refuse(message, {ours});
  VerdictRow timeless = row;
  timeless.cpu_seconds = std::nan("");
  refuse(message, {timeless});
  message.fence = Lease("quantize m", worker);
  Say(worker, message, {row});
  EXPECT_EQ(StateOf("quantize m"), StageState::kSucceeded);
}

TEST_F(SessionTest, ProgressStaysInMemory) {
  const Fence fence = Lease("quantize m", worker);
  Say(worker, StageStarted{fence});
  Clear();
  Say(worker, StageProgress{fence, "blocks", "block", 3, 12});
  EXPECT_TRUE(out.changes.empty());
  EXPECT_EQ(out.sweeps_changed.count(sweep), 1u);
  EXPECT_EQ(std::get<in::Running>(At("quantize m").payload()).progress.done, 3);
}

TEST_F(SessionTest, ABrokenStreamKeepsTheStagesForAWhile) {
  const Fence fence = Lease("quantize m", worker);
  Say(worker, StageStarted{fence});
  OnWorkerDisconnected(core, out, worker, now);
  Tick(kWorkerLostAfter - absl::Seconds(1));
  EXPECT_EQ(StateOf("quantize m"), StageState::kRunning);
  Clear();
  const WorkerId back = Register(Offer("w"), {fence});
  EXPECT_NE(back, worker);
  ASSERT_EQ(Sent<Registered>(back).size(), 1u);
  EXPECT_EQ(Sent<Registered>(back)[0].keep, std::vector<Fence>{fence});
  EXPECT_EQ(Changed<change::AttemptReattached>().size(), 1u);
  TickAlive(kWorkerLostAfter * 2, {{back, Heartbeat{{fence}}}});
  Succeed(back, fence, "quantize m");
  EXPECT_EQ(StateOf("quantize m"), StageState::kSucceeded);
}

TEST_F(SessionTest, AWorkerThatComesBackEmptyHandedGivesItsStagesUp) {
  const Fence running = Lease("quantize m", worker);
  Say(worker, StageStarted{running});
  const Fence leased = Lease("generate m fp16", worker);
  Clear();
  const WorkerId back = Register(Offer("w"));
  EXPECT_EQ(out.closed, std::vector<WorkerId>{worker});
  EXPECT_EQ(StateOf("quantize m"), StageState::kReady);
  EXPECT_EQ(StateOf("generate m fp16"), StageState::kReady);
  EXPECT_EQ(Lease("quantize m", back).attempt, 2);
  // It never started, so this is still the first attempt, under another lease.
  const Fence again = Lease("generate m fp16", back);
  EXPECT_EQ(again.attempt, 1);
  EXPECT_NE(again.lease, leased.lease);
}

TEST_F(SessionTest, ARegistrationIsToldWhatToKill) {
  const Fence fence = Lease("quantize m", worker);
  Say(worker, StageStarted{fence});
  Clear();
  const WorkerId back =
      Register(Offer("w"), {fence, Fence{Key("generate m fp16"), 1, LeaseId(55)}});
  EXPECT_EQ(Sent<Registered>(back)[0].keep, std::vector<Fence>{fence});
}

TEST_F(SessionTest, AGoodbyeGivesStagesBackAtOnceAndPoisonsNothing) {
  const Fence fence = Lease("quantize m", worker);
  Say(worker, StageStarted{fence});
  Clear();
  Say(worker, Goodbye{"SIGTERM"});
  EXPECT_EQ(StateOf("quantize m"), StageState::kReady);
  const auto ended = Changed<change::AttemptEnded>();
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].failure, FailureClass::kPreempted);
  EXPECT_FALSE(ended[0].final);
  EXPECT_EQ(OnWorkerMessage(core, out, worker, Heartbeat{}, {}, now).code(),
            absl::StatusCode::kNotFound);
}

TEST_F(SessionTest, AHeartbeatWithAnAttemptThatIsNotCurrentIsAnsweredWithACancel) {
  const Fence fence = Lease("quantize m", worker);
  Say(worker, StageStarted{fence});
  Clear();
  Say(worker, Heartbeat{{fence, Fence{Key("quantize m"), 9, LeaseId(99)}}});
  ASSERT_EQ(Sent<CancelAttempt>(worker).size(), 1u);
  EXPECT_EQ(Sent<CancelAttempt>(worker)[0].fence.attempt, 9);
  EXPECT_EQ(StateOf("quantize m"), StageState::kRunning);
}

}  // namespace
}  // namespace bitsweep::testing
