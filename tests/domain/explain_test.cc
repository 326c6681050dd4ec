#include "coordinator/scheduler/explain.h"

#include "tests/domain/scene.h"

namespace bitsweep::testing {
namespace {

class ExplainTest : public Scene {
 protected:
  void SetUp() override {
    sweep = Submit({{.isolation = "bubblewrap"}});
    worker = Register(Offer("w"));
    Run("inspect m 1", worker);
    Plan(sweep, {.isolation = "bubblewrap"});
  }
  /// The deciding reason, and that the text says `words`.
  ReasonKind Why(const std::string& name, const std::string& words) {
    const Explanation explanation = Explain(core, At(name), now);
    EXPECT_NE(explanation.text.find(words), std::string::npos) << explanation.text;
    EXPECT_FALSE(explanation.reasons.empty());
    return explanation.reasons.empty() ? ReasonKind::kQueued : explanation.reasons[0].kind;
  }
  SweepId sweep;
  WorkerId worker;
};

TEST_F(ExplainTest, WaitsForItsUpstreamAndSaysHowFarItIs) {
  const Fence fence = Lease("quantize m", worker);
  Say(worker, StageStarted{fence});
  Say(worker, StageProgress{fence, "blocks", "block", 4, 10});
  EXPECT_EQ(Why("generate m 2-bit", "waits for quantize m"), ReasonKind::kUpstream);
  Why("generate m 2-bit", "running 40%");
  EXPECT_EQ(Why("quantize m", "running on worker w"), ReasonKind::kRunning);
}

TEST_F(ExplainTest, NamesTheFailureThatBlocks) {
  Fail(worker, Lease("quantize m", worker), FailureClass::kBadInput);
  EXPECT_EQ(Why("quantize m", "bad_input: it broke"), ReasonKind::kFailed);
  EXPECT_EQ(Why("generate m 2-bit", "blocked by quantize m"), ReasonKind::kUpstreamFailed);
  EXPECT_EQ(Why("grade m 2-bit", "blocked by generate m 2-bit"), ReasonKind::kUpstreamFailed);
}

TEST_F(ExplainTest, SaysWhenTheNextAttemptIsDue) {
  Fail(worker, Lease("quantize m", worker), FailureClass::kOomHost);
  EXPECT_EQ(Why("quantize m", "tried again in 10s"), ReasonKind::kRetryDue);
}

TEST_F(ExplainTest, NamesWhatEachWorkerLacks) {
  Run("generate m fp16", worker);
  Say(worker, Goodbye{});
  EXPECT_EQ(Why("grade m fp16", "no worker is connected"), ReasonKind::kNoWorkers);
  WorkerOffer weak = Offer("weak");
  weak.isolation = "landlock";
  Register(weak);
  EXPECT_EQ(Why("grade m fp16", "worker weak lacks isolation bubblewrap (has landlock)"),
            ReasonKind::kNoMatch);
  const auto notes = UnmetByEverybody(core, SweepAt(sweep));
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_NE(notes[0].find("lacks isolation bubblewrap"), std::string::npos) << notes[0];
}

TEST_F(ExplainTest, TellsPausedFromQueued) {
  EXPECT_EQ(Why("generate m fp16", "behind 0 stages"), ReasonKind::kQueued);
  ASSERT_TRUE(OnPause(core, out, sweep, now).ok());
  EXPECT_EQ(Why("generate m fp16", "paused"), ReasonKind::kPaused);
}

TEST_F(ExplainTest, KnowsTheEnds) {
  Run("quantize m", worker);
  EXPECT_EQ(Why("quantize m", "succeeded"), ReasonKind::kSucceeded);
  Lease("generate m fp16", worker);
  EXPECT_EQ(Why("generate m fp16", "leased to worker w"), ReasonKind::kLeased);
  ASSERT_TRUE(OnCancelSweep(core, out, sweep, "", now).ok());
  EXPECT_EQ(Why("generate m fp16", "cancelled"), ReasonKind::kCancelled);
}

}  // namespace
}  // namespace bitsweep::testing
