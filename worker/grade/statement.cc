#include "worker/grade/statement.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "worker/grade/landlock.h"
#include "worker/grade/python_zygote.h"
#include "worker/grade/seccomp_filter.h"
#include "worker/grade/text.h"

#include "proto/base/digest.h"

namespace bitsweep::grade {
namespace {

using nlohmann::ordered_json;

std::string MiB(std::int64_t bytes) {
  return Cat(bytes / kMiB, " MiB");
}

class Writer {
 public:
  void Yes(const char* subject, const std::string& how) {
    measures_.push_back({.subject = subject, .how = how, .enforced = true});
  }
  void No(const char* subject, const std::string& why) {
    measures_.push_back({.subject = subject, .how = why, .enforced = false});
  }
  void Either(bool enforced, const char* subject, const std::string& how, const std::string& why) {
    enforced ? Yes(subject, how) : No(subject, why);
  }
  std::vector<Measure> Take() { return std::move(measures_); }

 private:
  std::vector<Measure> measures_;
};

/// What holds in every mode.
void AddLimits(const Limits& limits, Writer& out) {
  const auto seconds = [](absl::Duration time) { return absl::FormatDuration(time); };
  out.Yes("wall time", seconds(limits.wall));
  out.Yes("CPU time of a process", Cat("RLIMIT_CPU ", seconds(absl::Ceil(limits.cpu, absl::Seconds(1)))));
  out.Yes("output", Cat(MiB(limits.output_bytes), " on both streams together"));
  out.Yes("size of a file", Cat("RLIMIT_FSIZE ", MiB(limits.file_bytes)));
  out.Yes("open files of a process", Cat("RLIMIT_NOFILE ", limits.open_files));
  out.Yes("core dumps", "RLIMIT_CORE 1, which also keeps them from a pipe");
  out.Either(limits.address_space_bytes > 0,
             "address space of a process",
             Cat("RLIMIT_AS ", MiB(limits.address_space_bytes), " (Python; a JVM has its heap limit)"),
             "no limit was asked for");
}

void AddMemory(const CgroupSupport& cgroups, const Limits& limits, Writer& out) {
  out.Yes("memory of all processes",
          cgroups.memory
              ? Cat("control group ", MiB(limits.memory_bytes))
              : Cat(MiB(limits.memory_bytes), ", looked at every 20 ms (no control group)"));
}

void AddBubblewrap(const Sandbox& sandbox,
                   const Limits& limits,
                   const CgroupSupport& cgroups,
                   Writer& out) {
  out.Yes("files", "mount namespace: /usr and a little of /etc, read-only");
  out.Yes("disk", Cat("/tmp and /dev/shm are tmpfs of ", MiB(limits.disk_bytes), " each"));
  out.Yes("network", "network namespace with a loopback of its own");
  out.Yes("other processes, and what outlives the program", "process namespace");
  out.Yes("shared memory and semaphores", "IPC namespace");
  out.Yes("user and capabilities",
          sandbox.drops_user() ? "uid 65534 inside and outside, no capabilities"
                               : "uid 65534 inside, the grader's outside, no capabilities");
  out.Yes("further user namespaces", "limit 0 (--disable-userns) and seccomp");
  out.Yes("devices", "null zero full random urandom and pseudo-terminals only");
  out.Yes("terminal", "session of its own, TIOCSTI refused");
  out.Yes("system calls",
          Cat("seccomp, ", SeccompRules(SeccompScope::kNamespaces).size(), " refusals"));
  out.Yes("processes and threads",
          Cat(cgroups.processes ? "control group and RLIMIT_NPROC " : "RLIMIT_NPROC in its user namespace ",
              limits.processes,
              sandbox.forks_programs()
                  ? Cat(" (Python: ", PythonZygote::kProcessesOfOurs, " more, which start the program)")
                  : ""));
  out.Yes("what a program leaves for the next",
          sandbox.forks_programs()
              ? "Java: bubblewrap for each, or a machine shared by programs whose classes name nothing that "
                "another could see. Python: a warm interpreter, which never reads a program, forks each into "
                "process and mount namespaces with /tmp, /dev/shm and /proc of its own; Internet sockets are "
                "made for it in a network namespace of its own; the other namespaces are the interpreter's, "
                "and a filter keeps them empty"
              : "Java: bubblewrap for each, or a machine shared by programs whose classes name nothing that "
                "another could see. Python: bubblewrap for each");
}

void AddLandlock(const Sandbox& sandbox,
                 const Limits& limits,
                 const CgroupSupport& cgroups,
                 Writer& out) {
  const int version = sandbox.landlock_version();
  out.Yes("files", Cat("Landlock version ", version, ": /usr and a little of /etc, read-only"));
  out.No("names, sizes and times of the host's files", "Landlock does not hide them");
  out.No("disk", Cat("a folder on the host's disk: ", MiB(limits.file_bytes), " a file, no sum"));
  out.Yes("network", "no sockets but socket pairs (seccomp)");
  out.Yes("what outlives the program", "it cannot leave its process group (seccomp)");
  out.Yes("memory and files of other processes", "Landlock, ptrace and /proc refused");
  out.Either(version >= kLandlockScopes,
             "signals to other processes",
             "Landlock scope",
             "needs Linux 6.12: a program can end other programs of the same user");
  out.No("a grader that is killed with SIGKILL", "leaves a program's further processes and its folder");
  out.Yes("shared memory and semaphores", "refused (seccomp); /dev/shm cannot be opened");
  out.Either(sandbox.drops_user(),
             "user",
             "uid 65534, no capabilities",
             "the grader's own user; modes, owners and times of files cannot be changed (seccomp)");
  out.Yes("devices", "null zero full random urandom only");
  out.Yes("terminal", "session of its own, TIOCSTI refused");
  out.Yes("new privileges, further user namespaces", "PR_SET_NO_NEW_PRIVS and seccomp");
  out.Yes("system calls", Cat("seccomp, ", SeccompRules(SeccompScope::kShared).size(), " refusals"));
  out.Yes("what a program leaves for the next", "a process and a folder for each; no warm interpreter");
  out.Either(cgroups.processes,
             "processes and threads",
             Cat("control group ", limits.processes),
             Cat("RLIMIT_NPROC counts the user's other processes too: ",
                 limits.processes,
                 " more than there are"));
}

void AddNothing(const CgroupSupport& cgroups, const Limits& limits, Writer& out) {
  for (const char* subject : {"files", "network", "other processes", "system calls", "devices"}) {
    out.No(subject, "isolation none: programs have this user's rights");
  }
  out.Either(cgroups.processes,
             "processes and threads",
             Cat("control group ", limits.processes),
             "no control group can be written");
}

}  // namespace

std::string Statement::Id() const {
  return Sha256Hex(CanonicalJson(ordered_json{
                       {"mode", mode},
                       {"measures", [&] {
                          ordered_json list = ordered_json::array();
                          for (const Measure& measure : measures) {
                            list.push_back(ordered_json::array({measure.subject, measure.how, measure.enforced}));
                          }
                          return list;
                        }()}}))
      .substr(0, 16);
}

ordered_json Statement::ToJson() const {
  ordered_json enforced = ordered_json::object();
  ordered_json not_enforced = ordered_json::object();
  for (const Measure& measure : measures) {
    (measure.enforced ? enforced : not_enforced)[measure.subject] = measure.how;
  }
  return {{"id", Id()}, {"mode", mode}, {"enforced", enforced}, {"not_enforced", not_enforced}};
}

Statement StateMeasures(const Sandbox& sandbox,
                        const Limits& limits,
                        const CgroupSupport& cgroups) {
  Writer out;
  switch (sandbox.isolation()) {
    case Isolation::kBubblewrap:
      AddBubblewrap(sandbox, limits, cgroups, out);
      break;
    case Isolation::kLandlock:
      AddLandlock(sandbox, limits, cgroups, out);
      break;
    case Isolation::kNone:
      AddNothing(cgroups, limits, out);
      break;
  }
  AddMemory(cgroups, limits, out);
  AddLimits(limits, out);
  return {.mode = IsolationName(sandbox.isolation()), .measures = out.Take()};
}

}  // namespace bitsweep::grade
