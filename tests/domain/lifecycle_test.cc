#include "coordinator/domain/lifecycle.h"

#include <fstream>
#include <memory>
#include <sstream>

#include <gtest/gtest.h>

#include "coordinator/domain/stage.h"

namespace bitsweep {
namespace {

Stage InState(StageState state) {
  auto definition = std::make_shared<StageDefinition>();
  definition->key = StageKey(std::string(64, 'a'));
  const Holding holding{LeaseId(7), WorkerId(3), "w", {}, {}, {}};
  StagePayload payload;
  switch (state) {
    case StageState::kWaiting:
      payload = in::Waiting{};
      break;
    case StageState::kBlocked:
      payload = in::Blocked{};
      break;
    case StageState::kReady:
      payload = in::Ready{};
      break;
    case StageState::kLeased:
      payload = in::Leased{holding};
      break;
    case StageState::kRunning:
      payload = in::Running{holding, {}, {}};
      break;
    case StageState::kSucceeded:
      payload = in::Succeeded{std::make_shared<ArtifactManifest>(), LeaseId(7)};
      break;
    case StageState::kFailed:
      payload = in::Failed{FailureClass::kBug, "m", {}, LeaseId(7), {}};
      break;
    case StageState::kCancelled:
      payload = in::Cancelled{};
      break;
  }
  return Stage(std::move(definition), 1, std::move(payload), 2, 0, {});
}

StageTransition TransitionOf(StageEvent event) {
  switch (event) {
    case StageEvent::kInputsReady:
      return on::InputsReady{};
    case StageEvent::kInputsLost:
      return on::InputsLost{};
    case StageEvent::kUpstreamFailed:
      return on::UpstreamFailed{};
    case StageEvent::kUpstreamRetried:
      return on::UpstreamRetried{};
    case StageEvent::kAssign:
      return on::Assign{{LeaseId(8), WorkerId(3), "w", {}, {}, {}}};
    case StageEvent::kStart:
      return on::Start{};
    case StageEvent::kLoseWorker:
      return on::LoseWorker{};
    case StageEvent::kSucceed:
      return on::Succeed{std::make_shared<ArtifactManifest>()};
    case StageEvent::kFail:
      return on::Fail{FailureClass::kHang, "m", {}, {}};
    case StageEvent::kRetry:
      return on::Retry{};
    case StageEvent::kInvalidate:
      return on::Invalidate{};
    case StageEvent::kCancel:
      return on::Cancel{};
    case StageEvent::kRequest:
      return on::Request{};
  }
  return on::InputsReady{};
}

TEST(LifecycleTest, ApplyFollowsExactlyTheTable) {
  for (const StageState from : kStageStates) {
    for (const StageEvent event : kStageEvents) {
      Stage stage = InState(from);
      ASSERT_EQ(stage.state(), from);
      const absl::Status status = stage.Apply(TransitionOf(event));
      const auto next = NextState(from, event);
      if (next) {
        EXPECT_TRUE(status.ok()) << status;
        EXPECT_EQ(stage.state(), *next) << ToString(from) << " on " << ToString(event);
      } else {
        EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
        EXPECT_EQ(stage.state(), from);
        EXPECT_EQ(stage.attempt(), 2);
        EXPECT_NE(status.message().find(std::string(ToString(event))), std::string::npos);
      }
    }
  }
}

TEST(LifecycleTest, AttemptsCountOnlyWhatStarted) {
  Stage stage = InState(StageState::kReady);
  ASSERT_TRUE(stage.Apply(TransitionOf(StageEvent::kAssign)).ok());
  EXPECT_EQ(stage.fence().attempt, 3);
  ASSERT_TRUE(stage.Apply(on::LoseWorker{}).ok());
  EXPECT_EQ(stage.attempt(), 2);
  ASSERT_TRUE(stage.Apply(TransitionOf(StageEvent::kAssign)).ok());
  ASSERT_TRUE(stage.Apply(on::Start{}).ok());
  EXPECT_EQ(stage.fence(), (Fence{stage.key(), 3, LeaseId(8)}));
  ASSERT_TRUE(stage.Apply(on::LoseWorker{}).ok());
  ASSERT_TRUE(stage.Apply(TransitionOf(StageEvent::kAssign)).ok());
  EXPECT_EQ(stage.fence().attempt, 4);
}

TEST(LifecycleTest, AskingAgainForgivesEarlierFailures) {
  Stage stage = InState(StageState::kFailed);
  stage.CountFailure(FailureClass::kBug);
  ASSERT_TRUE(stage.Apply(on::Retry{.forgive = true}).ok());
  EXPECT_EQ(stage.forgiven(), 2);
  EXPECT_EQ(stage.failures(), FailureCounts{});
}

TEST(LifecycleTest, ReadmeShowsTheTable) {
  std::ifstream file("../coordinator/README.md");
  std::stringstream text;
  text << file.rdbuf();
  const std::string fence = "```mermaid\n";
  const std::size_t begin = text.str().find(fence + "stateDiagram-v2");
  ASSERT_NE(begin, std::string::npos) << "coordinator/README.md has no state diagram";
  const std::size_t from = begin + fence.size();
  const std::string diagram = text.str().substr(from, text.str().find("```", from) - from);
  EXPECT_EQ(diagram, LifecycleDiagram())
      << "coordinator/README.md differs from kStageEdges; the right one is above";
}

}  // namespace
}  // namespace bitsweep
