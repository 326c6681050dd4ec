// The system calls that no graded program needs and that have opened kernels before: mounting,
// namespaces, ptrace, bpf, perf, keyrings, io_uring, modules, and socket families that a network
// namespace does not contain (vsock reaches the host of a VM). Thread rule: free function without
// state.
#pragma once

#include <string>

#include <absl/status/statusor.h>

namespace bitsweep::grade {

/// The filter as a classic BPF program, in the form that `bwrap --seccomp` reads. Denied calls fail
/// with EPERM (clone3 with ENOSYS, so that libc falls back to clone, whose flags can be looked at).
/// INTERNAL: libseccomp refused.
absl::StatusOr<std::string> BuildSeccompFilter();

}  // namespace bitsweep::grade
