#include <csignal>
#include <future>

#include "tests/cli/cli_fixture.h"
#include "tests/cli/fake_coordinator.h"

namespace bitsweep::cli {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

class WatchTest : public CliTest {
 protected:
  v1::SweepStatus Status(const std::string& state, int succeeded) {
    v1::SweepStatus status;
    status.mutable_summary()->set_sweep(3);
    status.mutable_summary()->set_name("demo");
    status.mutable_summary()->set_state(state);
    status.mutable_summary()->set_cells(4);
    status.mutable_summary()->set_created_us(1);
    auto* count = status.add_stages();
    count->set_kind("grade");
    count->set_state("succeeded");
    count->set_count(succeeded);
    auto* rest = status.add_stages();
    rest->set_kind("grade");
    rest->set_state("ready");
    rest->set_count(10 - succeeded);
    status.set_workers(1);
    status.set_eta_seconds(-1);
    return status;
  }

  /// The tool in a thread of its own; the test goes on beside it.
  std::future<Outcome> Begin(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--server", fake_.address()});
    return std::async(std::launch::async, [this, arguments] { return Run(arguments); });
  }

  FakeCoordinator fake_;
};

TEST_F(WatchTest, EndsWithTheSweepAndSaysWhatIsNext) {
  fake_.Publish(Status("running", 3));
  fake_.Publish(Status("succeeded", 10), /*last=*/true);
  const Outcome outcome = Begin({"watch"}).get();
  EXPECT_EQ(outcome.code, ExitCode::kOk) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("demo: succeeded, 10 of 10 stages"));
  EXPECT_THAT(outcome.out, Not(HasSubstr("\x1b")));
  EXPECT_THAT(outcome.err, HasSubstr("bitsweep tables 3"));
  EXPECT_THAT(fake_.watched, ElementsAre("latest"));
}

TEST_F(WatchTest, AFailedSweepIsAFailureWithItsReasons) {
  v1::SweepStatus failed = Status("failed", 2);
  auto* failure = failed.add_failures();
  failure->set_stage(std::string(64, 'a'));
  failure->set_label("grade sparrow-1m");
  failure->set_failure_class("sandbox");
  failure->set_message("no user namespaces");
  failure->set_final(true);
  fake_.Publish(failed, /*last=*/true);
  const Outcome outcome = Begin({"watch", "demo"}).get();
  EXPECT_EQ(outcome.code, ExitCode::kFailed);
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("grade sparrow-1m  sandbox"), HasSubstr("no user namespaces")));
  EXPECT_THAT(outcome.err, HasSubstr("bitsweep retry 3"));
}

TEST_F(WatchTest, ACancelledSweepIsNotASuccess) {
  fake_.Publish(Status("cancelled", 2), /*last=*/true);
  EXPECT_EQ(Begin({"watch", "demo"}).get().code, ExitCode::kFailed);
}

TEST_F(WatchTest, AnUnknownSweepIsNotFound) {
  fake_.refuse = {grpc::StatusCode::NOT_FOUND, "no sweep is called 'x'"};
  const Outcome outcome = Begin({"watch", "x"}).get();
  EXPECT_EQ(outcome.code, ExitCode::kNotFound);
  EXPECT_EQ(outcome.err, "error: no sweep is called 'x'\n");
}

TEST_F(WatchTest, ARestartOfTheCoordinatorIsSurvivedByTheSweepsId) {
  fake_.Publish(Status("running", 3));
  auto watching = Begin({"watch", "latest"});
  fake_.AwaitWatchers(1);
  fake_.Stop();
  fake_.Start();
  fake_.AwaitWatchers(2);
  fake_.Publish(Status("succeeded", 10), /*last=*/true);
  const Outcome outcome = watching.get();
  EXPECT_EQ(outcome.code, ExitCode::kOk) << outcome.err;
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("the coordinator is away"),
                    HasSubstr("the coordinator is back"),
                    HasSubstr("demo: succeeded")));
  EXPECT_THAT(fake_.watched, ElementsAre("latest", "3"));
}

TEST_F(WatchTest, ACoordinatorThatStaysAwayIsGivenUp) {
  fake_.Publish(Status("running", 3));
  auto watching = Begin({"watch", "latest", "--give-up-after", "0.2"});
  fake_.AwaitWatchers(1);
  fake_.Stop();
  const Outcome outcome = watching.get();
  EXPECT_EQ(outcome.code, ExitCode::kUnreachable);
  EXPECT_THAT(outcome.err, HasSubstr("cannot reach a coordinator"));
}

TEST_F(WatchTest, InterruptedItDetachesRestoresTheCursorAndSaysHowToComeBack) {
  terminal_ = {.live = true, .colour = true, .unicode = true, .columns = 80, .rows = 24};
  fake_.Publish(Status("running", 3));
  auto watching = Begin({"watch", "demo"});
  fake_.AwaitWatchers(1);
  std::raise(SIGINT);
  const Outcome outcome = watching.get();
  EXPECT_EQ(outcome.code, ExitCode::kDetached);
  EXPECT_THAT(outcome.out, EndsWith("\x1b[?25h"));
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("the sweep goes on"), HasSubstr("bitsweep watch ")));
}

TEST_F(WatchTest, AsJsonEveryStatusIsOneLine) {
  fake_.Publish(Status("succeeded", 10), /*last=*/true);
  const Outcome outcome = Begin({"watch", "demo", "--output", "json"}).get();
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["summary"]["sweep"], 3);
  EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 1);
}

}  // namespace
}  // namespace bitsweep::cli
