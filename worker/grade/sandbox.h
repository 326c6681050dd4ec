// Where untrusted programs run. One Sandbox is opened for a grading run; it decides once which
// isolation the machine gives and refuses (fails closed) when that is less than what was asked for.
//
// bubblewrap: user, mount, process, network, IPC, UTS namespaces; read-only /usr; a size-limited
// /tmp, the only place to write; no capabilities; uid 65534; own session; seccomp; rlimits; cgroups
// where they can be written; dies with the grader. Thread rule: Open on one thread; Run from any
// number of threads at once, each with its own Cgroup or none.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

#include "worker/grade/cancellation.h"
#include "worker/grade/cgroup.h"
#include "worker/grade/child.h"
#include "worker/grade/limits.h"

namespace bitsweep::grade {

enum class Isolation {
  kBubblewrap,
  kLandlock,  // Not built yet: refused.
  kNone,  // rlimits and deadlines only: for trusted programs, or inside a container that isolates.
};

/// "bubblewrap", "landlock", "none".
const char* IsolationName(Isolation isolation);
std::optional<Isolation> ParseIsolation(std::string_view text);

/// A file that a job finds in its working folder.
struct JobFile {
  std::string name;  // No slash.
  std::string_view content;
};

/// One program to run. It starts in a working folder of its own that holds `files` and can be
/// written.
struct Job {
  std::vector<std::string> argv;  // argv[0] is an absolute path that the sandbox shows.
  std::vector<JobFile> files;
  std::vector<std::string> visible;  // Absolute paths outside /usr that the job may read.
  std::string input;
  int socket = -1;  // Ours; the job has it as kSocketDescriptor.
  Limits limits;
  // It keeps its capabilities, in its own user namespace, and has no system call filter: for a process
  // of ours that never runs a program itself (python_zygote.h).
  bool makes_namespaces = false;
  absl::Duration start_allowance = kProgramStart;  // Added to limits.wall until the first report.
  bool wall_restarts_on_report = false;
  std::function<void(std::string_view)> on_report;
};

/// What a job did, with what the control groups saw.
struct JobResult {
  ChildResult child;
  bool out_of_memory = false;  // The kernel killed a process of it for memory.
  bool forks_refused = false;  // It wanted more processes than it may have.
  double cpu_share = 0;        // Of the CPU time that it had, what it used.
};

class Sandbox {
 public:
  /// Checks that `isolation` works here by running a trivial job. `search_path` is where bwrap is
  /// looked for (as in $PATH). FAILED_PRECONDITION: it does not; the message names the package or
  /// the kernel setting to change.
  static absl::StatusOr<std::unique_ptr<Sandbox>> Open(Isolation isolation,
                                                       const std::string& search_path);

  /// Runs one job. UNAVAILABLE: the machine or the sandbox failed, not the program.
  absl::StatusOr<JobResult> Run(const Job& job,
                                const Cgroup* cgroup,
                                const Cancellation& cancellation) const;

  Isolation isolation() const { return isolation_; }
  /// True when jobs run as a user of their own (the grader is root).
  bool drops_user() const { return user_.has_value(); }
  /// The system call filter, as the kernel takes it; empty without isolation.
  const std::string& seccomp() const { return seccomp_; }
  /// The rlimits of a job, {RLIMIT_..., value}; RLIMIT_NPROC is set apart.
  static std::vector<std::pair<int, std::uint64_t>> ResourceLimits(const Limits& limits);

 private:
  Sandbox() = default;
  absl::StatusOr<JobResult> RunWrapped(const Job& job,
                                       const Cgroup* cgroup,
                                       const Cancellation& cancellation) const;
  absl::StatusOr<JobResult> RunBare(const Job& job,
                                    const Cgroup* cgroup,
                                    const Cancellation& cancellation) const;
  absl::Status Probe() const;

  Isolation isolation_ = Isolation::kBubblewrap;
  std::string bwrap_;
  std::string seccomp_;              // The filter.
  std::vector<std::string> system_;  // bwrap arguments that show the system.
  std::optional<uid_t> user_;
};

/// Looks `name` up in `search_path` (colon-separated); empty when it is in none of its folders.
std::string FindProgram(const std::string& name, const std::string& search_path);

}  // namespace bitsweep::grade
