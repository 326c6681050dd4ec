// The agent against a coordinator, a runner and a clock that the test plays itself.
#include "worker/agent/agent.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "worker/agent/limits.h"

#include "proto/contract/limits.h"

namespace bitsweep {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class FakeClient : public CoordinatorClient {
 public:
  void Connect(const Registration& registration) override { registrations.push_back(registration); }
  void Send(const WorkerMessage& message) override { sent.push_back(message); }
  void Close() override { ++closed; }

  template <typename T>
  std::vector<T> Sent() const {
    std::vector<T> found;
    for (const WorkerMessage& message : sent) {
      if (const T* body = std::get_if<T>(&message)) {
        found.push_back(*body);
      }
    }
    return found;
  }

  std::vector<Registration> registrations;
  std::vector<WorkerMessage> sent;
  int closed = 0;
};

class FakeRunner : public StageRunner {
 public:
  void Start(const Assignment& assignment) override { started.push_back(assignment.fence); }
  void Cancel(const Fence& fence, const std::string&) override { cancelled.push_back(fence); }
  std::vector<Fence> started, cancelled;
};

class MemoryJournal : public ResultJournal {
 public:
  absl::Status Put(const StageResult& result) override {
    results.insert_or_assign(FenceOf(result), result);
    return absl::OkStatus();
  }
  void Remove(const Fence& fence) override { results.erase(fence); }
  std::map<Fence, StageResult> Load() override { return results; }
  std::map<Fence, StageResult> results;
};

class FakeTime : public Timers, public Clock {
 public:
  absl::Time Now() const override { return now_; }
  void After(absl::Duration delay, std::function<void()> call) override {
    calls_.emplace(now_ + delay, std::move(call));
  }
  /// Runs what comes due, in order.
  void Advance(absl::Duration duration) {
    const absl::Time end = now_ + duration;
    while (!calls_.empty() && calls_.begin()->first <= end) {
      now_ = calls_.begin()->first;
      const std::function<void()> call = std::move(calls_.begin()->second);
      calls_.erase(calls_.begin());
      call();
    }
    now_ = end;
  }

 private:
  absl::Time now_ = absl::UnixEpoch();
  std::multimap<absl::Time, std::function<void()>> calls_;
};

Fence FenceFor(char stage, int attempt = 1) {
  return {.stage = StageKey(std::string(64, stage)),
          .attempt = attempt,
          .lease = LeaseId(100 * (stage - 'a') + attempt)};
}

Assignment AssignmentFor(const Fence& fence) {
  Assignment assignment;
  assignment.fence = fence;
  assignment.stage.key = fence.stage;
  return assignment;
}

StageSucceeded Success(const Fence& fence) {
  StageSucceeded succeeded;
  succeeded.fence = fence;
  succeeded.build = "b";
  return succeeded;
}

class AgentTest : public ::testing::Test {
 protected:
  AgentTest() {
    AgentOptions options;
    options.offer = [] { return WorkerOffer{}; };
    options.on_stopped = [this] { ++stopped_; };
    agent_ = std::make_unique<Agent>(std::move(options), client_, runner_, journal_, time_, time_);
  }

  void StartRegistered() {
    agent_->Start();
    Register({});
  }
  void Register(std::vector<Fence> keep) {
    agent_->OnMessage(Registered{WorkerId(1), kHeartbeatInterval, std::move(keep)});
  }
  void Lease(const Fence& fence) { agent_->OnMessage(AssignmentFor(fence)); }
  void LeaseAndStart(const Fence& fence) {
    Lease(fence);
    agent_->OnStarted(fence);
  }
  void Disconnect() { agent_->OnDisconnected(absl::UnavailableError("gone")); }
  /// The session breaks and comes back; the coordinator wants `keep`.
  void Reconnect(std::vector<Fence> keep) {
    Disconnect();
    time_.Advance(kReconnectDelayMax);
    client_.sent.clear();
    Register(std::move(keep));
  }

  FakeClient client_;
  FakeRunner runner_;
  MemoryJournal journal_;
  FakeTime time_;
  int stopped_ = 0;
  std::unique_ptr<Agent> agent_;
  const Fence a_ = FenceFor('a'), b_ = FenceFor('b');
};

TEST_F(AgentTest, ALeaseIsStartedAndItsResultSentAfterItIsInTheJournal) {
  StartRegistered();
  LeaseAndStart(a_);
  EXPECT_THAT(runner_.started, ElementsAre(a_));
  EXPECT_THAT(client_.Sent<StageStarted>(), SizeIs(1));
  agent_->OnEnded(Success(a_));
  EXPECT_THAT(client_.Sent<StageSucceeded>(), SizeIs(1));
  EXPECT_THAT(journal_.results, SizeIs(1));
  EXPECT_THAT(agent_->Held(), ElementsAre(a_));
  agent_->OnMessage(ResultAcknowledged{a_, false});
  EXPECT_THAT(journal_.results, IsEmpty());
  EXPECT_THAT(agent_->Held(), IsEmpty());
}

TEST_F(AgentTest, HeartbeatsNameWhatIsHeldAtTheCoordinatorsInterval) {
  StartRegistered();
  Lease(a_);
  time_.Advance(3 * kHeartbeatInterval);
  const std::vector<Heartbeat> beats = client_.Sent<Heartbeat>();
  ASSERT_THAT(beats, SizeIs(3));
  EXPECT_THAT(beats.back().held, ElementsAre(a_));
}

TEST_F(AgentTest, AStageOutlivesTheSessionAndItsResultGoesOutInTheNextOne) {
  StartRegistered();
  LeaseAndStart(a_);
  Disconnect();
  EXPECT_THAT(runner_.cancelled, IsEmpty());
  agent_->OnEnded(Success(a_));
  EXPECT_THAT(client_.Sent<StageSucceeded>(), IsEmpty());
  time_.Advance(kReconnectDelayMax);
  ASSERT_THAT(client_.registrations, SizeIs(2));
  EXPECT_THAT(client_.registrations[1].held, ElementsAre(a_));
  Register({a_});
  EXPECT_THAT(client_.Sent<StageSucceeded>(), SizeIs(1));
}

TEST_F(AgentTest, ARunningStageIsAnnouncedAgainInANewSession) {
  StartRegistered();
  LeaseAndStart(a_);
  Reconnect({a_});
  EXPECT_THAT(client_.Sent<StageStarted>(), SizeIs(1));
  EXPECT_THAT(runner_.started, SizeIs(1));
}

TEST_F(AgentTest, WhatTheCoordinatorDoesNotKeepIsKilledOrForgotten) {
  StartRegistered();
  LeaseAndStart(a_);
  LeaseAndStart(b_);
  agent_->OnEnded(Success(b_));
  Reconnect({});
  EXPECT_THAT(runner_.cancelled, ElementsAre(a_));
  EXPECT_THAT(journal_.results, IsEmpty());
  EXPECT_THAT(agent_->Held(), IsEmpty());
  // It had just succeeded when it was cancelled: nobody wants that any more.
  agent_->OnEnded(Success(a_));
  EXPECT_THAT(client_.sent, IsEmpty());
  EXPECT_THAT(journal_.results, IsEmpty());
}

TEST_F(AgentTest, ResultsOfAnEarlierProcessAreHeldAndSentAgain) {
  ASSERT_TRUE(journal_.Put(Success(a_)).ok());
  agent_->Start();
  ASSERT_THAT(client_.registrations, SizeIs(1));
  EXPECT_THAT(client_.registrations[0].held, ElementsAre(a_));
  Register({a_});
  EXPECT_THAT(client_.Sent<StageSucceeded>(), SizeIs(1));
}

TEST_F(AgentTest, ACancelledAttemptSaysNothingMore) {
  StartRegistered();
  LeaseAndStart(a_);
  agent_->OnMessage(CancelAttempt{a_, "sweep cancelled"});
  EXPECT_THAT(runner_.cancelled, ElementsAre(a_));
  EXPECT_THAT(agent_->Held(), IsEmpty());
  client_.sent.clear();
  agent_->OnProgress({.fence = a_, .phase = "p", .unit = "u", .done = 1, .total = 2});
  agent_->OnEnded(StageDropped{a_});
  EXPECT_THAT(client_.sent, IsEmpty());
}

TEST_F(AgentTest, ANewerLeaseOfAStageWaitsUntilTheOlderAttemptIsGone) {
  StartRegistered();
  LeaseAndStart(a_);
  const Fence again = FenceFor('a', 2);
  Lease(again);
  EXPECT_THAT(runner_.cancelled, ElementsAre(a_));
  EXPECT_THAT(runner_.started, ElementsAre(a_));
  EXPECT_THAT(agent_->Held(), ElementsAre(again));
  agent_->OnEnded(StageDropped{a_});
  EXPECT_THAT(runner_.started, ElementsAre(a_, again));
}

TEST_F(AgentTest, ALeaseThatWaitsCanBeCancelledBeforeItStarts) {
  StartRegistered();
  LeaseAndStart(a_);
  const Fence again = FenceFor('a', 2);
  Lease(again);
  agent_->OnMessage(CancelAttempt{again, "no"});
  agent_->OnEnded(StageDropped{a_});
  EXPECT_THAT(runner_.started, ElementsAre(a_));
}

TEST_F(AgentTest, ARepeatedLeaseStartsNothingTwice) {
  StartRegistered();
  LeaseAndStart(a_);
  Lease(a_);
  EXPECT_THAT(runner_.started, SizeIs(1));
  agent_->OnEnded(Success(a_));
  Lease(a_);
  EXPECT_THAT(client_.Sent<StageSucceeded>(), SizeIs(2));
}

TEST_F(AgentTest, ProgressIsThinnedOutButTheLastOneArrives) {
  StartRegistered();
  LeaseAndStart(a_);
  for (int i = 1; i <= 1000; ++i) {
    agent_->OnProgress({.fence = a_, .phase = "p", .unit = "u", .done = i, .total = 1000});
  }
  EXPECT_THAT(client_.Sent<StageProgress>(), SizeIs(1));
  time_.Advance(kHeartbeatInterval);
  ASSERT_THAT(client_.Sent<StageProgress>(), SizeIs(2));
  EXPECT_EQ(client_.Sent<StageProgress>().back().done, 1000);
}

TEST_F(AgentTest, ReconnectsBackOffUpToTheLimitAndStartOverAfterASuccess) {
  agent_->Start();
  std::vector<int> tries;
  for (int i = 0; i < 10; ++i) {
    Disconnect();
    const std::size_t before = client_.registrations.size();
    int steps = 0;
    for (; client_.registrations.size() == before; ++steps) {
      ASSERT_LT(steps, 1000);
      time_.Advance(absl::Milliseconds(10));
    }
    tries.push_back(10 * steps);
  }
  EXPECT_LE(tries.front(), absl::ToInt64Milliseconds(kReconnectDelayMin) + 10);
  EXPECT_GE(tries.back(), absl::ToInt64Milliseconds(kReconnectDelayMax) / 2);
  EXPECT_LE(tries.back(), absl::ToInt64Milliseconds(kReconnectDelayMax) + 10);
  Register({});
  Disconnect();
  const std::size_t before = client_.registrations.size();
  time_.Advance(kReconnectDelayMin);
  EXPECT_EQ(client_.registrations.size(), before + 1);
}

TEST_F(AgentTest, AHeartbeatOfABrokenSessionIsNotSentInTheNextOne) {
  StartRegistered();
  Reconnect({});
  time_.Advance(kHeartbeatInterval);
  EXPECT_THAT(client_.Sent<Heartbeat>(), SizeIs(1));
}

TEST_F(AgentTest, StopEndsStagesThenSaysGoodbyeThenLeaves) {
  StartRegistered();
  LeaseAndStart(a_);
  agent_->Stop("SIGTERM");
  EXPECT_THAT(runner_.cancelled, ElementsAre(a_));
  EXPECT_THAT(client_.Sent<Goodbye>(), IsEmpty());
  agent_->OnEnded(StageDropped{a_});
  EXPECT_THAT(client_.Sent<Goodbye>(), SizeIs(1));
  EXPECT_EQ(client_.closed, 1);
  EXPECT_EQ(stopped_, 0);
  Disconnect();
  EXPECT_EQ(stopped_, 1);
  time_.Advance(absl::Hours(1));
  EXPECT_EQ(stopped_, 1);
  EXPECT_THAT(client_.registrations, SizeIs(1));
}

TEST_F(AgentTest, StopWithoutASessionEndsAtOnce) {
  agent_->Start();
  Disconnect();
  agent_->Stop("SIGTERM");
  EXPECT_EQ(stopped_, 1);
  time_.Advance(absl::Hours(1));
  EXPECT_THAT(client_.registrations, SizeIs(1));
}

TEST_F(AgentTest, AStopThatHangsIsGivenUp) {
  StartRegistered();
  LeaseAndStart(a_);
  agent_->Stop("SIGTERM");
  time_.Advance(kStopTimeout);
  EXPECT_EQ(stopped_, 1);
}

TEST_F(AgentTest, AResultThatComesWhileStoppingIsKeptAndSentBeforeTheGoodbye) {
  StartRegistered();
  LeaseAndStart(a_);
  agent_->Stop("SIGTERM");
  client_.sent.clear();
  agent_->OnEnded(Success(a_));
  ASSERT_THAT(client_.sent, SizeIs(2));
  EXPECT_TRUE(std::holds_alternative<StageSucceeded>(client_.sent[0]));
  EXPECT_TRUE(std::holds_alternative<Goodbye>(client_.sent[1]));
  EXPECT_THAT(journal_.results, SizeIs(1));
}

TEST_F(AgentTest, ADrainingWorkerFinishesRefusesAndLeaves) {
  StartRegistered();
  LeaseAndStart(a_);
  agent_->OnMessage(Drain{"maintenance"});
  Lease(b_);
  ASSERT_THAT(client_.Sent<StageFailed>(), SizeIs(1));
  EXPECT_EQ(client_.Sent<StageFailed>()[0].failure, FailureClass::kPreempted);
  EXPECT_THAT(runner_.started, ElementsAre(a_));
  agent_->OnEnded(Success(a_));
  EXPECT_THAT(client_.Sent<Goodbye>(), IsEmpty());
  agent_->OnMessage(ResultAcknowledged{a_, false});
  EXPECT_THAT(client_.Sent<Goodbye>(), SizeIs(1));
  Disconnect();
  EXPECT_EQ(stopped_, 1);
}

}  // namespace
}  // namespace bitsweep
