#include "worker/grade/sandbox.h"

#include <array>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "worker/grade/landlock.h"
#include "worker/grade/seccomp_filter.h"
#include "worker/grade/text.h"
#include "worker/grade/unique_fd.h"

#include "proto/base/status_macros.h"

namespace bitsweep::grade {
namespace {

// "nobody": what the program is, inside and, when the grader is root, outside.
constexpr uid_t kNobody = 65534;
constexpr const char* kPasswd = "nobody:x:65534:65534:nobody:/tmp:/usr/sbin/nologin\n";
constexpr const char* kWorkingFolder = "/tmp";

constexpr std::array<std::pair<std::string_view, Isolation>, 3> kIsolations = {{
    {"bubblewrap", Isolation::kBubblewrap},
    {"landlock", Isolation::kLandlock},
    {"none", Isolation::kNone},
}};

/// Shows /usr and what Debian's programs need of /etc, read-only.
std::vector<std::string> SystemArguments() {
  std::vector<std::string> arguments = {"--ro-bind", "/usr", "/usr"};
  std::error_code error;
  for (const char* folder : {"/bin", "/sbin", "/lib", "/lib32", "/lib64"}) {
    if (std::filesystem::is_symlink(folder, error)) {
      arguments.insert(
          arguments.end(),
          {"--symlink", std::filesystem::read_symlink(folder, error).string(), folder});
    } else if (std::filesystem::is_directory(folder, error)) {
      arguments.insert(arguments.end(), {"--ro-bind", folder, folder});
    }
  }
  for (const char* file : {"/etc/ld.so.cache", "/etc/alternatives"}) {
    if (std::filesystem::exists(file, error)) {
      arguments.insert(arguments.end(), {"--ro-bind", file, file});
    }
  }
  return arguments;
}

ChildSpec BaseSpec(const Job& job, const Cgroup* cgroup) {
  ChildSpec spec;
  spec.environment = Sandbox::EnvironmentIn(kWorkingFolder);
  spec.input = job.input;
  spec.resource_limits = Sandbox::ResourceLimits(job.limits);
  spec.wall = job.limits.wall;
  spec.start_allowance = job.start_allowance;
  spec.wall_restarts_on_report = job.wall_restarts_on_report;
  spec.output_bytes_max = job.limits.output_bytes;
  spec.report_bytes_max = job.limits.report_bytes;
  spec.on_report = job.on_report;
  if (cgroup != nullptr) {
    spec.cgroup_files = cgroup->procs_files();
  }
  // Programs of a process that makes namespaces are watched one by one.
  const bool counted = cgroup != nullptr && cgroup->limits_memory();
  spec.memory_bytes_max = counted || job.makes_namespaces ? 0 : job.limits.memory_bytes;
  if (job.socket >= 0) {
    spec.descriptors.emplace_back(kSocketDescriptor, job.socket);
  }
  return spec;
}

/// Runs the child and says what its control group saw of it.
absl::StatusOr<JobResult> RunCounted(const ChildSpec& spec,
                                     const Cgroup* cgroup,
                                     const Cancellation& cancellation) {
  const CgroupCounters before = cgroup != nullptr ? cgroup->Read() : CgroupCounters{};
  BITSWEEP_ASSIGN_OR_RETURN(ChildResult child, RunChild(spec, cancellation));
  const CgroupCounters after = cgroup != nullptr ? cgroup->Read() : CgroupCounters{};
  const bool exceeded = child.memory_exceeded;
  return JobResult{.child = std::move(child),
                   .out_of_memory = exceeded || after.oom_kills > before.oom_kills,
                   .forks_refused = after.forks_refused > before.forks_refused};
}

bool FileSays(const char* path, std::string_view value) {
  return Trim(ReadSmallFile(path)) == value;
}

/// Which setting of this machine stands in the way, as far as it can be told.
std::string NameTheSetting() {
  if (FileSays("/proc/sys/kernel/unprivileged_userns_clone", "0")) {
    return "user namespaces are off: set sysctl kernel.unprivileged_userns_clone=1";
  }
  if (FileSays("/proc/sys/user/max_user_namespaces", "0")) {
    return "user namespaces are off: set sysctl user.max_user_namespaces above 0";
  }
  if (FileSays("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1")) {
    return "AppArmor refuses user namespaces: set sysctl "
           "kernel.apparmor_restrict_unprivileged_userns=0 or give "
           "/usr/bin/bwrap an AppArmor profile with `userns,`";
  }
  return "the machine refuses user namespaces: in a container start it with a seccomp profile that "
         "allows unshare, clone and "
         "mount (docker: --security-opt seccomp=unconfined --security-opt apparmor=unconfined "
         "--security-opt systempaths=unconfined); in a chroot use pivot_root instead (the kernel "
         "refuses user namespaces in "
         "a chroot)";
}

constexpr std::string_view kNoneHint =
    "--isolation none (programs then run with this user's rights)";

/// How the requirement can be lowered on this machine.
std::string LowerHint(Isolation refused) {
  if (refused == Isolation::kBubblewrap && LandlockVersion().ok()) {
    return Cat("; or lower the requirement with --isolation landlock (weaker; this kernel has it) or ",
               kNoneHint);
  }
  return Cat("; or lower the requirement with ", kNoneHint);
}

/// Processes and threads of `user`, which RLIMIT_NPROC counts together.
std::int64_t TasksOf(uid_t user) {
  std::int64_t tasks = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    struct stat found {};
    const std::string path = entry.path();
    if (std::isdigit(static_cast<unsigned char>(path.back())) == 0 ||
        stat(path.c_str(), &found) != 0 || found.st_uid != user) {
      continue;
    }
    std::error_code gone;
    for (const auto& task : std::filesystem::directory_iterator(entry.path() / "task", gone)) {
      tasks += task.path().empty() ? 0 : 1;
    }
  }
  return tasks;
}

}  // namespace

const char* IsolationName(Isolation isolation) {
  for (const auto& [name, value] : kIsolations) {
    if (value == isolation) {
      return name.data();
    }
  }
  return "none";
}

std::optional<Isolation> ParseIsolation(std::string_view text) {
  for (const auto& [name, value] : kIsolations) {
    if (name == text) {
      return value;
    }
  }
  return std::nullopt;
}

std::string FindProgram(const std::string& name, const std::string& search_path) {
  for (const std::string_view folder : Split(search_path, ':')) {
    const std::string path = Cat(folder, "/", name);
    if (!folder.empty() && access(path.c_str(), X_OK) == 0) {
      return path;
    }
  }
  return "";
}

absl::StatusOr<std::unique_ptr<Sandbox>> Sandbox::Open(Isolation isolation,
                                                       const std::string& search_path) {
  PrepareToRunChildren();
  std::unique_ptr<Sandbox> sandbox(new Sandbox());
  sandbox->isolation_ = isolation;
  if (isolation == Isolation::kNone) {
    return sandbox;
  }
  if (isolation == Isolation::kLandlock) {
    BITSWEEP_RETURN_IF_ERROR(sandbox->OpenLandlock());
    return sandbox;
  }
  sandbox->bwrap_ = FindProgram("bwrap", search_path);
  if (sandbox->bwrap_.empty()) {
    return absl::FailedPreconditionError(Cat("isolation \"bubblewrap\": bwrap is not in PATH (",
                                             search_path,
                                             "): install the package bubblewrap",
                                             LowerHint(isolation)));
  }
  BITSWEEP_ASSIGN_OR_RETURN(sandbox->seccomp_, BuildSeccompFilter(SeccompScope::kNamespaces));
  sandbox->system_ = SystemArguments();
  BITSWEEP_RETURN_IF_ERROR(sandbox->ProbeAsNobodyFirst());
  return sandbox;
}

bool Sandbox::forks_programs() const {
  // As root without another user to be, a program would own the files of /proc.
  return isolation_ == Isolation::kBubblewrap && (geteuid() != 0 || drops_user());
}

absl::Status Sandbox::OpenLandlock() {
  const absl::StatusOr<int> version = LandlockVersion();
  if (!version.ok()) {
    return absl::FailedPreconditionError(Cat("isolation \"landlock\": ",
                                             std::string(version.status().message()),
                                             LowerHint(isolation_)));
  }
  landlock_ = *version;
  BITSWEEP_ASSIGN_OR_RETURN(seccomp_, BuildSeccompFilter(SeccompScope::kShared));
  readable_ = {"/usr",
               "/bin",
               "/sbin",
               "/lib",
               "/lib32",
               "/lib64",
               "/etc/ld.so.cache",
               "/etc/alternatives"};
  return ProbeAsNobodyFirst();
}

absl::Status Sandbox::ProbeAsNobodyFirst() {
  if (geteuid() == 0) {
    // Root inside the sandbox, even without capabilities, owns the system's files: run as nobody
    // where that works.
    user_ = kNobody;
    if (Probe().ok()) {
      return absl::OkStatus();
    }
    user_.reset();
  }
  return Probe();
}

absl::Status Sandbox::Probe() const {
  Job job;
  job.argv = {"/usr/bin/true"};
  const Cancellation never;
  BITSWEEP_ASSIGN_OR_RETURN(const JobResult result, Run(job, nullptr, never));
  if (result.child.exit_code == 0) {
    return absl::OkStatus();
  }
  const bool wrapped = isolation_ == Isolation::kBubblewrap;
  return absl::FailedPreconditionError(
      Cat("isolation \"",
          IsolationName(isolation_),
          "\" does not work here (",
          Trim(result.child.error),
          "): ",
          wrapped ? NameTheSetting()
                  : "allow landlock_restrict_self and seccomp in the container's seccomp profile",
          LowerHint(isolation_)));
}

absl::StatusOr<JobResult> Sandbox::Run(const Job& job,
                                       const Cgroup* cgroup,
                                       const Cancellation& cancellation) const {
  return isolation_ == Isolation::kBubblewrap ? RunWrapped(job, cgroup, cancellation)
                                              : RunInFolder(job, cgroup, cancellation);
}

std::vector<std::string> Sandbox::EnvironmentIn(const std::string& folder) {
  return {
      "PATH=/usr/bin:/bin",
      Cat("HOME=", folder),
      Cat("TMPDIR=", folder),
      "LANG=C.UTF-8",
      "PYTHONHASHSEED=0",  // The same program, the same verdict: sets iterate in the same order.
      "PYTHONDONTWRITEBYTECODE=1",
  };
}

std::vector<std::pair<int, std::uint64_t>> Sandbox::ResourceLimits(const Limits& limits) {
  const auto number = [](std::int64_t value) { return static_cast<std::uint64_t>(value); };
  std::vector<std::pair<int, std::uint64_t>> out = {
      {RLIMIT_CPU, number(absl::ToInt64Seconds(absl::Ceil(limits.cpu, absl::Seconds(1))))},
      {RLIMIT_FSIZE, number(limits.file_bytes)},
      {RLIMIT_NOFILE, number(limits.open_files)},
      // One byte: too little for a file, and the one value with which the kernel does not start the
      // program that core_pattern may name.
      {RLIMIT_CORE, 1},
      {RLIMIT_MEMLOCK, 0},
      {RLIMIT_MSGQUEUE, 0},
  };
  if (limits.address_space_bytes > 0) {
    out.emplace_back(RLIMIT_AS, number(limits.address_space_bytes));
  }
  return out;
}

const std::vector<std::string>& Sandbox::Devices() {
  static const std::vector<std::string> devices = {
      "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"};
  return devices;
}

std::vector<std::string> Sandbox::WrapArguments(const Job& job) const {
  const std::string disk = Cat(job.limits.disk_bytes);
  std::vector<std::string> arguments = {bwrap_,
                                        "--unshare-user",
                                        "--unshare-ipc",
                                        "--unshare-pid",
                                        "--unshare-net",
                                        "--unshare-uts",
                                        "--unshare-cgroup-try",
                                        "--disable-userns",
                                        "--die-with-parent",
                                        "--new-session",
                                        job.makes_namespaces ? "--cap-add" : "--cap-drop",
                                        "ALL",
                                        "--uid",
                                        "65534",
                                        "--gid",
                                        "65534",
                                        "--hostname",
                                        "sandbox"};
  const auto add = [&](const std::vector<std::string>& more) {
    arguments.insert(arguments.end(), more.begin(), more.end());
  };
  add(system_);
  add({"--proc", "/proc", "--dev", "/dev", "--size", disk, "--tmpfs", "/dev/shm"});
  // A program that makes itself a terminal would change the times of the host's node; nobody opens this one.
  add({"--ro-bind", "/dev/null", "/dev/tty"});
  add({"--size", disk, "--tmpfs", kWorkingFolder});
  for (const std::string& path : job.visible) {
    add({"--ro-bind", path, path});
  }
  int number = kFirstFreeDescriptor;
  add({"--file", Cat(number++), "/etc/passwd"});
  for (const JobFile& file : job.files) {
    add({"--file", Cat(number++), Cat(kWorkingFolder, "/", file.name)});
  }
  add({"--remount-ro", "/dev", "--remount-ro", "/", "--chdir", kWorkingFolder});
  if (!job.makes_namespaces) {
    add({"--seccomp", Cat(number)});
  }
  add({"--info-fd", Cat(kInfoDescriptor), "--block-fd", Cat(kBlockDescriptor), "--"});
  add(job.argv);
  return arguments;
}

absl::StatusOr<JobResult> Sandbox::RunWrapped(const Job& job,
                                              const Cgroup* cgroup,
                                              const Cancellation& cancellation) const {
  ChildSpec spec = BaseSpec(job, cgroup);
  spec.argv = WrapArguments(job);
  // In the order in which the arguments count them.
  std::vector<std::string_view> contents = {kPasswd};
  for (const JobFile& file : job.files) {
    contents.push_back(file.content);
  }
  if (!job.makes_namespaces) {
    contents.push_back(seccomp_);
  }
  std::vector<UniqueFd> held;
  int number = kFirstFreeDescriptor;
  for (const std::string_view content : contents) {
    BITSWEEP_ASSIGN_OR_RETURN(UniqueFd file, MemoryFile(content));
    spec.descriptors.emplace_back(number++, file.get());
    held.push_back(std::move(file));
  }
  spec.has_inner = true;
  spec.user = user_;
  spec.inner_processes = static_cast<std::uint64_t>(job.limits.processes);
  return RunCounted(spec, cgroup, cancellation);
}

absl::Status Sandbox::RestrictFiles(const Job& job,
                                    const std::string& folder,
                                    bool processes_counted,
                                    ChildSpec* spec,
                                    UniqueFd* held) const {
  BITSWEEP_ASSIGN_OR_RETURN(LandlockRules rules, LandlockRules::Make(landlock_));
  for (const auto* paths : {&readable_, &job.visible}) {
    for (const std::string& path : *paths) {
      BITSWEEP_RETURN_IF_ERROR(rules.Allow(path, LandlockRules::Right::kRead));
    }
  }
  for (const std::string& device : Devices()) {
    BITSWEEP_RETURN_IF_ERROR(rules.Allow(device, LandlockRules::Right::kDevice));
  }
  BITSWEEP_RETURN_IF_ERROR(rules.Allow(folder, LandlockRules::Right::kWork));
  *held = rules.Take();
  spec->landlock_rules = held->get();
  spec->seccomp_filter = seccomp_;
  spec->sealed_group = true;
  spec->user = user_;
  if (!processes_counted) {
    const std::int64_t tasks = TasksOf(user_.value_or(geteuid()));
    spec->resource_limits.emplace_back(RLIMIT_NPROC,
                                       static_cast<std::uint64_t>(tasks + job.limits.processes));
  }
  return absl::OkStatus();
}

absl::StatusOr<JobResult> Sandbox::RunInFolder(const Job& job,
                                               const Cgroup* cgroup,
                                               const Cancellation& cancellation) const {
  BITSWEEP_ASSIGN_OR_RETURN(const JobFolder folder, JobFolder::Make(job.files, user_));
  ChildSpec spec = BaseSpec(job, cgroup);
  spec.argv = job.argv;
  spec.environment = EnvironmentIn(folder.path());
  spec.working_folder = folder.path();
  UniqueFd rules;
  if (isolation_ == Isolation::kLandlock) {
    const bool counted = cgroup != nullptr && cgroup->limits_processes();
    BITSWEEP_RETURN_IF_ERROR(RestrictFiles(job, folder.path(), counted, &spec, &rules));
  }
  return RunCounted(spec, cgroup, cancellation);
}

}  // namespace bitsweep::grade
