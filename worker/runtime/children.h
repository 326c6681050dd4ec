// Every process that this agent starts, and the certainty that none outlives its stage:
//  - each child leads a process group of its own and dies with the agent (PR_SET_PDEATHSIG);
//  - the agent is a subreaper: what a child leaves behind becomes the agent's child and is killed;
//  - each child's environment carries a mark of the cache folder: a new agent finds what an older
//    one could not take with it, without trusting process ids that may have been used again.
// One instance a process: it takes every child that it does not know for a stray. Any thread.
#pragma once

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <sys/types.h>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include "worker/runtime/unique_fd.h"

namespace bitsweep {

struct Spawn {
  std::vector<std::string> argv;                   // argv[0] is an absolute path.
  std::map<std::string, std::string> environment;  // On top of the agent's own.
  int output_fd = -1;                              // Becomes standard output and standard error.
  int events_fd = -1;                              // Becomes descriptor 3; -1: none.
};

struct ChildExit {
  int wait_status = 0;          // As of wait4.
  std::int64_t peak_bytes = 0;  // Largest resident set of the child or a process it awaited.
};

class Children {
 public:
  /// `mark` names the agent's cache folder; see KillLeftovers.
  explicit Children(std::string mark);

  /// Starts a process group. NOT_FOUND, PERMISSION_DENIED, INTERNAL: it could not be started.
  /// REQUIRES: the calling thread lives until Reap returned; the kernel ties the child to it.
  absl::StatusOr<pid_t> Start(const Spawn& spawn);
  /// True once the child has ended (and waits to be reaped).
  static bool HasEnded(pid_t child);
  /// Sends `signal` to the child's whole group.
  static void Signal(pid_t child, int signal);
  /// Waits for the child's end, kills the rest of its group and every other descendant that it left
  /// behind, and waits for them.
  ChildExit Reap(pid_t child);
  /// Kills processes that an earlier agent of this mark left. Returns how many.
  int KillLeftovers();

 private:
  void KillStrays();

  const std::string mark_;
  std::mutex mutex_;  // Held over fork: a child is never seen before it is known.
  std::set<pid_t> known_;
};

/// The first `bytes_max` bytes that `argv` prints. DEADLINE_EXCEEDED: killed after `timeout`;
/// FAILED_PRECONDITION: it exited with another code than 0 (the message has its output).
absl::StatusOr<std::string> Capture(Children& children,
                                    const std::vector<std::string>& argv,
                                    absl::Duration timeout);

}  // namespace bitsweep
