// One control group for one worker thread of the pool: counts processes and memory of a whole
// process tree, which rlimits cannot. Version 1 and 2; where neither can be written there is none,
// and rlimits are all there is. Thread rule: a Cgroup belongs to one thread; one program at a time
// runs in it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "worker/grade/limits.h"
#include "worker/grade/unique_fd.h"

namespace bitsweep::grade {

/// Counters that only grow; the difference over a run says what happened in it.
struct CgroupCounters {
  std::int64_t oom_kills = 0;
  std::int64_t forks_refused = 0;
};

class Cgroup {
 public:
  /// Makes the group, or returns nullptr where the machine does not let us.
  static std::unique_ptr<Cgroup> Open(const Limits& limits);
  ~Cgroup();
  Cgroup(const Cgroup&) = delete;
  Cgroup& operator=(const Cgroup&) = delete;

  /// Open cgroup.procs files; a process that writes "0" to each is in the group.
  std::vector<int> procs_files() const;
  CgroupCounters Read() const;
  bool limits_processes() const { return limits_processes_; }
  bool limits_memory() const { return limits_memory_; }

 private:
  Cgroup() = default;
  /// Makes one folder and opens its procs file; false when refused.
  bool Add(const std::string& parent, const std::string& name);

  std::vector<std::string> folders_;
  std::vector<UniqueFd> procs_;
  bool limits_processes_ = false;
  bool limits_memory_ = false;
};

}  // namespace bitsweep::grade
