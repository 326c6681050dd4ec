#include "worker/grade/sandbox.h"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sys/resource.h>
#include <unistd.h>
#include <utility>

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

const std::vector<std::string>& Environment() {
  static const std::vector<std::string> environment = {
      "PATH=/usr/bin:/bin",
      "HOME=/tmp",
      "TMPDIR=/tmp",
      "LANG=C.UTF-8",
      "PYTHONHASHSEED=0",  // The same program, the same verdict: sets iterate in the same order.
      "PYTHONDONTWRITEBYTECODE=1",
  };
  return environment;
}

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

ChildSpec BaseSpec(const Job& job) {
  ChildSpec spec;
  spec.environment = Environment();
  spec.input = job.input;
  spec.resource_limits = Sandbox::ResourceLimits(job.limits);
  spec.wall = job.limits.wall;
  spec.start_allowance = job.start_allowance;
  spec.wall_restarts_on_report = job.wall_restarts_on_report;
  spec.output_bytes_max = job.limits.output_bytes;
  spec.report_bytes_max = job.limits.report_bytes;
  spec.on_report = job.on_report;
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
  return JobResult{.child = std::move(child),
                   .out_of_memory = after.oom_kills > before.oom_kills,
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

constexpr std::string_view kLowerHint =
    "; or lower the requirement with --isolation none (programs then run with this user's rights)";

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
    return absl::FailedPreconditionError(
        Cat("isolation \"landlock\" is not available in this version; allowed: bubblewrap, none",
            kLowerHint));
  }
  sandbox->bwrap_ = FindProgram("bwrap", search_path);
  if (sandbox->bwrap_.empty()) {
    return absl::FailedPreconditionError(Cat("isolation \"bubblewrap\": bwrap is not in PATH (",
                                             search_path,
                                             "): install the package bubblewrap",
                                             kLowerHint));
  }
  BITSWEEP_ASSIGN_OR_RETURN(sandbox->seccomp_, BuildSeccompFilter());
  sandbox->system_ = SystemArguments();
  absl::Status works = absl::OkStatus();
  if (geteuid() == 0) {
    // Root inside the sandbox, even without capabilities, owns the system's files: run as nobody
    // where that works.
    sandbox->user_ = kNobody;
    works = sandbox->Probe();
    if (works.ok()) {
      return sandbox;
    }
    sandbox->user_.reset();
  }
  works = sandbox->Probe();
  if (!works.ok()) {
    return works;
  }
  return sandbox;
}

absl::Status Sandbox::Probe() const {
  Job job;
  job.argv = {"/usr/bin/true"};
  const Cancellation never;
  BITSWEEP_ASSIGN_OR_RETURN(const JobResult result, Run(job, nullptr, never));
  if (result.child.exit_code == 0) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(Cat("isolation \"bubblewrap\" does not work here (",
                                           Trim(result.child.error),
                                           "): ",
                                           NameTheSetting(),
                                           kLowerHint));
}

absl::StatusOr<JobResult> Sandbox::Run(const Job& job,
                                       const Cgroup* cgroup,
                                       const Cancellation& cancellation) const {
  return isolation_ == Isolation::kNone ? RunBare(job, cgroup, cancellation)
                                        : RunWrapped(job, cgroup, cancellation);
}

std::vector<std::pair<int, std::uint64_t>> Sandbox::ResourceLimits(const Limits& limits) {
  const auto number = [](std::int64_t value) { return static_cast<std::uint64_t>(value); };
  std::vector<std::pair<int, std::uint64_t>> out = {
      {RLIMIT_CPU, number(absl::ToInt64Seconds(absl::Ceil(limits.cpu, absl::Seconds(1))))},
      {RLIMIT_FSIZE, number(limits.file_bytes)},
      {RLIMIT_NOFILE, number(limits.open_files)},
      {RLIMIT_CORE, 0},
      {RLIMIT_MEMLOCK, 0},
      {RLIMIT_MSGQUEUE, 0},
  };
  if (limits.address_space_bytes > 0) {
    out.emplace_back(RLIMIT_AS, number(limits.address_space_bytes));
  }
  return out;
}

absl::StatusOr<JobResult> Sandbox::RunWrapped(const Job& job,
                                              const Cgroup* cgroup,
                                              const Cancellation& cancellation) const {
  ChildSpec spec = BaseSpec(job);
  const std::string disk = Cat(job.limits.disk_bytes);
  spec.argv = {bwrap_,
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
  spec.argv.insert(spec.argv.end(), system_.begin(), system_.end());
  for (const char* argument : {"--proc", "/proc", "--dev", "/dev", "--size"}) {
    spec.argv.emplace_back(argument);
  }
  spec.argv.insert(spec.argv.end(),
                   {disk, "--tmpfs", "/dev/shm", "--size", disk, "--tmpfs", kWorkingFolder});
  for (const std::string& path : job.visible) {
    spec.argv.insert(spec.argv.end(), {"--ro-bind", path, path});
  }
  std::vector<UniqueFd> held;
  int number = kFirstFreeDescriptor;
  const auto hand_over = [&](std::string_view content) -> absl::StatusOr<std::string> {
    BITSWEEP_ASSIGN_OR_RETURN(UniqueFd file, MemoryFile(content));
    spec.descriptors.emplace_back(number, file.get());
    held.push_back(std::move(file));
    return Cat(number++);
  };
  BITSWEEP_ASSIGN_OR_RETURN(std::string passwd, hand_over(kPasswd));
  spec.argv.insert(spec.argv.end(), {"--file", passwd, "/etc/passwd"});
  for (const JobFile& file : job.files) {
    BITSWEEP_ASSIGN_OR_RETURN(std::string descriptor, hand_over(file.content));
    spec.argv.insert(spec.argv.end(), {"--file", descriptor, Cat(kWorkingFolder, "/", file.name)});
  }
  if (!job.makes_namespaces) {
    BITSWEEP_ASSIGN_OR_RETURN(std::string filter, hand_over(seccomp_));
    spec.argv.insert(spec.argv.end(), {"--seccomp", filter});
  }
  spec.argv.insert(spec.argv.end(),
                   {"--remount-ro",
                    "/dev",
                    "--remount-ro",
                    "/",
                    "--chdir",
                    kWorkingFolder,
                    "--info-fd",
                    Cat(kInfoDescriptor),
                    "--block-fd",
                    Cat(kBlockDescriptor),
                    "--"});
  spec.argv.insert(spec.argv.end(), job.argv.begin(), job.argv.end());
  spec.has_inner = true;
  spec.user = user_;
  spec.inner_processes = static_cast<std::uint64_t>(job.limits.processes);
  if (cgroup != nullptr) {
    spec.cgroup_files = cgroup->procs_files();
  }
  return RunCounted(spec, cgroup, cancellation);
}

absl::StatusOr<JobResult> Sandbox::RunBare(const Job& job,
                                           const Cgroup* cgroup,
                                           const Cancellation& cancellation) const {
  std::string folder = (std::filesystem::temp_directory_path() / "bitsweep-grade-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) {
    return absl::UnavailableError(Cat("a temporary folder ", folder, ": ", strerror(errno)));
  }
  for (const JobFile& file : job.files) {
    std::ofstream out(Cat(folder, "/", file.name), std::ios::binary);
    if (!out.write(file.content.data(), static_cast<std::streamsize>(file.content.size()))
             .flush()) {
      return absl::UnavailableError(Cat(folder, "/", file.name, ": cannot be written"));
    }
  }
  ChildSpec spec = BaseSpec(job);
  spec.argv = job.argv;
  spec.working_folder = folder;
  if (cgroup != nullptr) {
    spec.cgroup_files = cgroup->procs_files();
  }
  absl::StatusOr<JobResult> result = RunCounted(spec, cgroup, cancellation);
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  return result;
}

}  // namespace bitsweep::grade
