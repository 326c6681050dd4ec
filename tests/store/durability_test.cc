// What a commit acknowledged is there after the process was killed.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/store/store_scene.h"

namespace bitsweep::testing {
namespace {

class DurabilityTest : public StoreScene {};

/// In the child: commits sweep after sweep and says so after each, until it is killed.
[[noreturn]] void CommitForEver(const std::string& path, int acknowledge) {
  auto store = Store::Open(path);
  if (!store.ok()) {
    ::_exit(3);
  }
  Core core;
  for (char n = 1;; ++n) {
    Effects effects;
    Submission submission;
    submission.name = "durable";
    submission.request_id = std::to_string(static_cast<int>(n));
    const Study study{.nonce = submission.request_id};
    if (!OnSubmit(core, effects, submission, InspectPlan({study}), absl::Now()).ok() ||
        !(*store)->Commit(effects.changes).ok() || ::write(acknowledge, &n, 1) != 1) {
      ::_exit(4);
    }
  }
}

TEST_F(DurabilityTest, KilledAfterAnAcknowledgementItLosesNothing) {
  store.reset();
  const std::string path = folder / "bitsweep.db";
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::close(pipe[0]);
    CommitForEver(path, pipe[1]);
  }
  ::close(pipe[1]);
  constexpr int kAcknowledged = 8;
  char last = 0;
  for (int i = 0; i < kAcknowledged; ++i) {
    ASSERT_EQ(::read(pipe[0], &last, 1), 1);
  }
  ASSERT_EQ(::kill(child, SIGKILL), 0);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status)) << "the child ended by itself: " << status;
  while (::read(pipe[0], &last, 1) == 1) {
  }
  ::close(pipe[0]);
  // The lock went with the process, and everything that was acknowledged is there.
  Open();
  const auto again = Reloaded();
  EXPECT_GE(again->sweeps.size(), static_cast<std::size_t>(last));
  EXPECT_LE(again->sweeps.size(), static_cast<std::size_t>(last) + 1);
  for (int n = 1; n <= last; ++n) {
    EXPECT_TRUE(again->sweep_of_request.contains(std::to_string(n))) << n;
  }
}

}  // namespace
}  // namespace bitsweep::testing
