#include "worker/runtime/child_run.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>

#include "proto/base/names.h"

namespace bitsweep {
namespace {

// Without pidfd (an old kernel) the child's end is noticed this late.
constexpr absl::Duration kTickWithoutPidfd = absl::Milliseconds(50);
// The longest sleep; the deadlines are looked at again after it.
constexpr absl::Duration kLongestWait = absl::Minutes(1);
// Of 64 KiB: more than a pipe holds, so that what an ended child left is read in one turn.
constexpr int kReadsPerTurn = 64;

/// Processes that the kernel killed for memory since boot, on this machine and in this control
/// group; nullopt when the kernel does not tell.
std::optional<std::int64_t> OomKills() {
  std::optional<std::int64_t> kills;
  for (const char* path : {"/proc/vmstat", "/sys/fs/cgroup/memory.events"}) {
    std::ifstream stream(path);
    std::int64_t count = 0;
    for (std::string name; stream >> name >> count;) {
      if (name == "oom_kill") {
        kills = kills.value_or(0) + count;
      }
    }
  }
  return kills;
}

struct Pipe {
  UniqueFd in, out;
};

absl::StatusOr<Pipe> MakePipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0) {
    return absl::InternalError(absl::StrCat("pipe: ", std::strerror(errno)));
  }
  Pipe pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
  ::fcntl(fds[1], F_SETFL, 0);  // The child's end blocks: a tool need not handle EAGAIN.
  return pipe;
}

/// One child's run. A class, because the loop's parts share its deadlines and its verdict.
class Run {
 public:
  Run(const ChildOptions& options,
      StageLog& log,
      const std::function<void(const ProgressEvent&)>& on_progress)
      : options_(options), log_(log), on_progress_(on_progress) {}

  ChildOutcome Go(Children& children, std::stop_token stop);

 private:
  void Loop(const std::stop_token& stop, int wake_fd);
  absl::Time NextDeadline() const;
  void CheckDeadlines(absl::Time now);
  /// Reads what is there. False at the end of the stream.
  bool ReadEvents();
  bool ReadLog();
  void OnLine(const std::string& line);
  void Terminate(ChildOutcome::Kind kind, FailureClass failure, std::string message);
  void Judge(const ChildExit& exit, std::optional<std::int64_t> oom_before);

  const ChildOptions& options_;
  StageLog& log_;
  const std::function<void(const ProgressEvent&)>& on_progress_;

  pid_t child_ = -1;
  UniqueFd events_, output_, pidfd_;
  LineCutter lines_{kEventLineBytesMax};
  std::optional<DoneEvent> done_;
  std::optional<FailedEvent> failed_;
  absl::Time last_event_, ended_by_word_ = absl::InfiniteFuture();
  absl::Time kill_at_ = absl::InfiniteFuture();
  bool terminated_ = false;  // By us; `outcome_` says why.
  ChildOutcome outcome_;
};

ChildOutcome Run::Go(Children& children, std::stop_token stop) {
  absl::StatusOr<Pipe> events = MakePipe();
  absl::StatusOr<Pipe> output = MakePipe();
  const UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!events.ok() || !output.ok() || !wake.is_open()) {
    outcome_.message = absl::StrCat("cannot make pipes: ", std::strerror(errno));
    return outcome_;
  }
  const std::stop_callback on_stop(stop, [fd = wake.get()] { ::eventfd_write(fd, 1); });
  Spawn spawn{.argv = options_.argv,
              .environment = options_.environment,
              .output_fd = output->out.get(),
              .events_fd = events->out.get()};
  spawn.argv.insert(spawn.argv.end(), {"--events", "3"});
  const std::optional<std::int64_t> oom_before = OomKills();
  absl::StatusOr<pid_t> child = children.Start(spawn);
  if (!child.ok()) {
    outcome_.message = absl::StrCat("cannot start the tool: ", child.status().message());
    return outcome_;
  }
  child_ = *child;
  events_ = std::move(events->in);
  output_ = std::move(output->in);
  events->out.Reset();
  output->out.Reset();
  pidfd_.Reset(static_cast<int>(::syscall(SYS_pidfd_open, child_, 0)));
  last_event_ = absl::Now();
  Loop(stop, wake.get());
  const ChildExit exit = children.Reap(child_);
  // The pipes hold what was written before the end.
  ReadEvents();
  ReadLog();
  outcome_.peak_bytes = exit.peak_bytes;
  Judge(exit, oom_before);
  outcome_.message = ToUtf8(outcome_.message.substr(0, kFailureMessageBytesMax));
  return outcome_;
}

void Run::Loop(const std::stop_token& stop, int wake_fd) {
  while (!Children::HasEnded(child_)) {
    const absl::Time now = absl::Now();
    if (stop.stop_requested() && !terminated_) {
      Terminate(ChildOutcome::Kind::kCancelled, FailureClass::kBug, "cancelled");
    }
    CheckDeadlines(now);
    // Without a deadline it is infinite, and only a bounded one may be rounded up below.
    const absl::Duration tick = pidfd_.is_open() ? kLongestWait : kTickWithoutPidfd;
    const absl::Duration wait = std::min(NextDeadline() - now, tick);
    std::array<pollfd, 4> fds = {pollfd{events_.get(), POLLIN, 0},
                                 pollfd{output_.get(), POLLIN, 0},
                                 pollfd{pidfd_.get(), POLLIN, 0},
                                 // Once stopped, the wake descriptor stays readable.
                                 pollfd{terminated_ ? -1 : wake_fd, POLLIN, 0}};
    const auto wait_ms = std::max<std::int64_t>(absl::ToInt64Milliseconds(wait) + 1, 0);
    if (::poll(fds.data(), fds.size(), static_cast<int>(wait_ms)) <= 0) {
      continue;
    }
    if (fds[0].revents != 0 && !ReadEvents()) {
      events_.Reset();
    }
    if (fds[1].revents != 0 && !ReadLog()) {
      output_.Reset();
    }
  }
}

absl::Time Run::NextDeadline() const {
  if (terminated_) {
    return kill_at_;
  }
  return std::min(last_event_ + options_.hang_after, ended_by_word_ + options_.exit_grace);
}

void Run::CheckDeadlines(absl::Time now) {
  if (terminated_) {
    if (now >= kill_at_) {
      Children::Signal(child_, SIGKILL);
      kill_at_ = absl::InfiniteFuture();
    }
  } else if (now >= ended_by_word_ + options_.exit_grace) {
    Terminate(ChildOutcome::Kind::kFailed,
              FailureClass::kHang,
              absl::StrCat("the tool did not exit within ",
                           absl::FormatDuration(options_.exit_grace),
                           " of its last event"));
  } else if (now >= last_event_ + options_.hang_after) {
    Terminate(ChildOutcome::Kind::kFailed,
              FailureClass::kHang,
              absl::StrCat("no event for ", absl::FormatDuration(options_.hang_after)));
  }
}

void Run::Terminate(ChildOutcome::Kind kind, FailureClass failure, std::string message) {
  if (terminated_) {
    return;
  }
  terminated_ = true;
  outcome_.kind = kind;
  outcome_.failure = failure;
  outcome_.message = std::move(message);
  kill_at_ = absl::Now() + options_.grace;
  Children::Signal(child_, SIGTERM);
}

bool Run::ReadEvents() {
  char buffer[1 << 16];
  ssize_t n = -1;
  // A child that writes faster than this reads must not keep the loop from its deadlines.
  for (int i = 0; i < kReadsPerTurn && events_.is_open(); ++i) {
    n = ::read(events_.get(), buffer, sizeof buffer);
    if (n <= 0) {
      break;
    }
    if (!lines_.Push({buffer, static_cast<std::size_t>(n)})) {
      Terminate(ChildOutcome::Kind::kFailed,
                FailureClass::kBug,
                absl::StrCat("the child wrote an event longer than ",
                             kEventLineBytesMax,
                             " bytes: ",
                             ToUtf8(lines_.rest().substr(0, 200))));
    }
    while (std::optional<std::string> line = lines_.Next()) {
      OnLine(*line);
    }
  }
  return n != 0;
}

bool Run::ReadLog() {
  char buffer[1 << 16];
  ssize_t n = -1;
  for (int i = 0; i < kReadsPerTurn && output_.is_open(); ++i) {
    n = ::read(output_.get(), buffer, sizeof buffer);
    if (n <= 0) {
      break;
    }
    log_.Append({buffer, static_cast<std::size_t>(n)});
  }
  return n != 0;
}

void Run::OnLine(const std::string& line) {
  absl::StatusOr<ChildEvent> event = ParseChildEvent(line);
  if (!event.ok()) {
    Terminate(
        ChildOutcome::Kind::kFailed, FailureClass::kBug, std::string(event.status().message()));
    return;
  }
  last_event_ = absl::Now();
  if (const auto* hello = std::get_if<HelloEvent>(&*event)) {
    outcome_.build = hello->build;
  } else if (const auto* progress = std::get_if<ProgressEvent>(&*event)) {
    on_progress_(*progress);
  } else if (const auto* log = std::get_if<LogEvent>(&*event)) {
    log_.Line(absl::StrCat("[", log->level, "] ", log->message));
  } else if (const auto* done = std::get_if<DoneEvent>(&*event)) {
    done_ = *done;
    ended_by_word_ = last_event_;
  } else if (const auto* failed = std::get_if<FailedEvent>(&*event)) {
    failed_ = *failed;
    ended_by_word_ = last_event_;
  }
}

/// The child has ended: by its own words, by us, or by something else.
void Run::Judge(const ChildExit& exit, std::optional<std::int64_t> oom_before) {
  if (terminated_) {
    return;
  }
  const int status = exit.wait_status;
  outcome_.kind = ChildOutcome::Kind::kFailed;
  if (failed_) {
    outcome_.failure = failed_->failure;
    outcome_.message = failed_->message;
  } else if (done_ && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
    outcome_.kind = ChildOutcome::Kind::kDone;
    outcome_.summary = done_->summary;
  } else if (WIFEXITED(status)) {
    outcome_.message = absl::StrCat("the tool exited with code ",
                                    WEXITSTATUS(status),
                                    done_ ? " after it said done" : " without a word");
  } else if (WTERMSIG(status) == SIGKILL) {
    const std::optional<std::int64_t> oom_after = OomKills();
    // A kernel that does not count leaves memory as the likeliest reason for this signal.
    const bool is_oom = !oom_before || !oom_after || *oom_after > *oom_before;
    outcome_.failure = is_oom ? FailureClass::kOomHost : FailureClass::kPreempted;
    outcome_.message = is_oom ? "killed by the kernel for lack of memory"
                              : "killed by SIGKILL from outside (the kernel counts no OOM kill)";
  } else if (WTERMSIG(status) == SIGTERM || WTERMSIG(status) == SIGINT) {
    outcome_.failure = FailureClass::kPreempted;
    outcome_.message = absl::StrCat("ended from outside by ", ::strsignal(WTERMSIG(status)));
  } else {
    outcome_.message = absl::StrCat("the tool crashed: ", ::strsignal(WTERMSIG(status)));
  }
}

}  // namespace

ChildOutcome RunChild(const ChildOptions& options,
                      Children& children,
                      StageLog& log,
                      const std::function<void(const ProgressEvent&)>& on_progress,
                      std::stop_token stop) {
  return Run(options, log, on_progress).Go(children, std::move(stop));
}

}  // namespace bitsweep
