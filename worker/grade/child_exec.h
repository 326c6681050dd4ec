// What a child does between fork and exec: descriptors, control groups, limits, user, signals.
// Thread rule: MakeExecPlan before the fork; ExecChild in the forked child only, where system calls
// are all that is allowed.
#pragma once

#include <cstddef>
#include <sys/types.h>
#include <utility>
#include <vector>

#include "worker/grade/child.h"

namespace bitsweep::grade {

inline constexpr std::size_t kDescriptorsMax = 32;

/// What the child needs between fork and exec, made before the fork: afterwards only system calls
/// are allowed.
struct ExecPlan {
  std::vector<char*> argv;
  std::vector<char*> environment;
  std::vector<std::pair<int, int>> descriptors;
  pid_t parent = 0;
};

/// argv and environment of `spec` in exec's form; descriptors are the caller's to fill in.
ExecPlan MakeExecPlan(const ChildSpec& spec);

/// Never returns: execs, or ends with code 127 and a line on standard error.
[[noreturn]] void ExecChild(const ChildSpec& spec, const ExecPlan& plan);

}  // namespace bitsweep::grade
