#include "worker/grade/seccomp_filter.h"

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <type_traits>
#include <unistd.h>

#include "worker/grade/text.h"
#include "worker/grade/unique_fd.h"

#include "proto/base/status_macros.h"

namespace bitsweep::grade {
namespace {

constexpr std::array kDenied = {
    // Namespaces and mounts.
    "mount",
    "umount",
    "umount2",
    "pivot_root",
    "chroot",
    "unshare",
    "setns",
    "open_tree",
    "move_mount",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "mount_setattr",
    "swapon",
    "swapoff",
    "quotactl",
    "quotactl_fd",
    // Other processes.
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "process_madvise",
    "kcmp",
    "pidfd_getfd",
    "move_pages",
    "migrate_pages",
    // Kernel interfaces with a history.
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "keyctl",
    "add_key",
    "request_key",
    "name_to_handle_at",
    "open_by_handle_at",
    "fanotify_init",
    "lookup_dcookie",
    "vmsplice",
    "memfd_secret",
    "landlock_create_ruleset",
    // The machine.
    "init_module",
    "finit_module",
    "delete_module",
    "create_module",
    "kexec_load",
    "kexec_file_load",
    "reboot",
    "syslog",
    "acct",
    "settimeofday",
    "clock_settime",
    "clock_adjtime",
    "adjtimex",
    "stime",
    "sethostname",
    "setdomainname",
    "iopl",
    "ioperm",
    "modify_ldt",
    "vhangup",
    "nfsservctl",
    "uselib",
    "personality",
    "mknod",
    "mknodat",
    // Scheduling of others.
    "sched_setscheduler",
    "sched_setattr",
    "ioprio_set",
    "set_mempolicy",
    "mbind",
};

struct FreeFilter {
  void operator()(void* filter) const { seccomp_release(filter); }
};
using Filter = std::unique_ptr<std::remove_pointer_t<scmp_filter_ctx>, FreeFilter>;

absl::Status Check(int code, std::string_view what) {
  if (code < 0) {
    return absl::InternalError(Cat("seccomp: ", what, ": ", strerror(-code)));
  }
  return absl::OkStatus();
}

absl::Status DenyByArguments(scmp_filter_ctx filter) {
  constexpr scmp_datum_t kNamespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                       CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
  // One rule for each flag: a masked comparison is for equality only.
  for (scmp_datum_t flag = 1; flag <= kNamespaces; flag <<= 1U) {
    if ((flag & kNamespaces) != 0) {
      BITSWEEP_RETURN_IF_ERROR(Check(seccomp_rule_add(filter,
                                                      SCMP_ACT_ERRNO(EPERM),
                                                      SCMP_SYS(clone),
                                                      1,
                                                      SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag)),
                                     "clone"));
    }
  }
  BITSWEEP_RETURN_IF_ERROR(
      Check(seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0), "clone3"));
  constexpr scmp_datum_t kLow = 0xFFFFFFFFU;  // The kernel looks at 32 bits of both arguments.
  for (const scmp_datum_t request : {scmp_datum_t{TIOCSTI}, scmp_datum_t{TIOCLINUX}}) {
    BITSWEEP_RETURN_IF_ERROR(Check(seccomp_rule_add(filter,
                                                    SCMP_ACT_ERRNO(EPERM),
                                                    SCMP_SYS(ioctl),
                                                    1,
                                                    SCMP_A1(SCMP_CMP_MASKED_EQ, kLow, request)),
                                   "ioctl"));
  }
  for (scmp_datum_t family = 0; family < AF_MAX; ++family) {
    const bool allowed =
        family == AF_UNIX || family == AF_INET || family == AF_INET6 || family == AF_NETLINK;
    if (!allowed) {
      BITSWEEP_RETURN_IF_ERROR(Check(seccomp_rule_add(filter,
                                                      SCMP_ACT_ERRNO(EAFNOSUPPORT),
                                                      SCMP_SYS(socket),
                                                      1,
                                                      SCMP_A0(SCMP_CMP_MASKED_EQ, kLow, family)),
                                     "socket"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Export(scmp_filter_ctx filter) {
  BITSWEEP_ASSIGN_OR_RETURN(UniqueFd file, MemoryFile(""));
  BITSWEEP_RETURN_IF_ERROR(Check(seccomp_export_bpf(filter, file.get()), "export"));
  std::string program(static_cast<std::size_t>(lseek(file.get(), 0, SEEK_END)), '\0');
  if (pread(file.get(), program.data(), program.size(), 0) !=
      static_cast<ssize_t>(program.size())) {
    return absl::InternalError("seccomp: the exported filter cannot be read back");
  }
  return program;
}

}  // namespace

absl::StatusOr<std::string> BuildSeccompFilter() {
  const Filter filter(seccomp_init(SCMP_ACT_ALLOW));
  if (!filter) {
    return absl::InternalError("seccomp: no filter");
  }
  // A binary tree instead of a list of comparisons: every system call goes through it.
  constexpr std::uint32_t kBinaryTree = 2;
  BITSWEEP_RETURN_IF_ERROR(
      Check(seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, kBinaryTree), "optimize"));
  for (const char* name : kDenied) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR || number < 0) {
      continue;  // Unknown to this libseccomp, or not a call of this architecture.
    }
    BITSWEEP_RETURN_IF_ERROR(
        Check(seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), number, 0), name));
  }
  BITSWEEP_RETURN_IF_ERROR(DenyByArguments(filter.get()));
  return Export(filter.get());
}

}  // namespace bitsweep::grade
