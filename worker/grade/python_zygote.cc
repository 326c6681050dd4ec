#include "worker/grade/python_zygote.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

#include <absl/strings/str_format.h>

#include "bitsweep_generated/python_candidate.h"
#include "bitsweep_generated/python_driver.h"
#include "bitsweep_generated/python_zygote.h"
#include "worker/grade/text.h"

#include "proto/base/status_macros.h"

namespace bitsweep::grade {
namespace {

// As many descriptors travel with a program at most: its streams, report, text and socket.
constexpr std::size_t kDescriptorsSent = 6;
constexpr absl::Duration kZygoteLifetime = absl::Hours(24 * 365);

absl::Status ZygoteLost(std::string_view what) {
  return absl::UnavailableError(Cat("the interpreter that starts programs: ", what));
}

bool SendDescriptors(int socket, char letter, const std::vector<int>& descriptors) {
  iovec piece{.iov_base = &letter, .iov_len = 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kDescriptorsSent * sizeof(int))> space{};
  const std::size_t bytes = descriptors.size() * sizeof(int);
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = space.data();
  message.msg_controllen = CMSG_SPACE(bytes);
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(bytes);
  std::memcpy(CMSG_DATA(header), descriptors.data(), bytes);
  return sendmsg(socket, &message, MSG_NOSIGNAL) == 1;
}

/// The kernel refuses to send a descriptor when those that the user's processes have on their way are more than
/// the sender may have open, so that one program could keep another's interpreter from working.
std::int64_t FilesOfOurs(const Limits& limits) {
  constexpr std::int64_t kMore = 4096;
  rlimit ours{};
  getrlimit(RLIMIT_NOFILE, &ours);
  const auto most = static_cast<std::int64_t>(std::min<rlim_t>(ours.rlim_max, 1U << 30U));
  return std::min(limits.open_files + kMore, most);
}

std::string SetupFrame(const Sandbox& sandbox, const Limits& limits) {
  nlohmann::json setup = {
      {"codes",
       {{"A", std::string(generated::kPythonCandidate)}, {"T", std::string(generated::kPythonDriver)}}},
      {"disk_bytes", limits.disk_bytes},
      {"limits", nlohmann::json::array()}};
  Limits inner = limits;
  inner.processes += PythonZygote::kProcessesOfOurs;
  for (const auto& [resource, value] : Sandbox::ResourceLimits(inner)) {
    setup["limits"].push_back({resource, value});
  }
  setup["limits"].push_back({RLIMIT_NPROC, inner.processes});
  std::string filter;
  for (const char c : sandbox.seccomp()) {
    absl::StrAppendFormat(&filter, "%02x", static_cast<unsigned char>(c));
  }
  setup["filter"] = filter;
  const std::string body = setup.dump();
  std::string frame;
  for (const int shift : {24, 16, 8, 0}) {
    frame.push_back(static_cast<char>((body.size() >> shift) & 0xFFU));
  }
  return frame + body;
}

}  // namespace

absl::StatusOr<std::unique_ptr<PythonZygote>> PythonZygote::Start(
    const Sandbox& sandbox,
    const std::string& interpreter,
    const std::vector<std::string>& visible,
    const Limits& limits,
    const Cgroup* cgroup) {
  if (!sandbox.forks_programs()) {
    return absl::FailedPreconditionError("this isolation starts an interpreter for each program");
  }
  std::unique_ptr<PythonZygote> zygote(new PythonZygote());
  BITSWEEP_ASSIGN_OR_RETURN(auto ends, MakeSocketPair());
  zygote->control_ = std::move(ends.first);
  zygote->theirs_ = std::move(ends.second);
  zygote->cgroup_ = cgroup;
  Job job;
  job.argv = {interpreter, "-s", "-c", std::string(generated::kPythonZygote)};
  job.visible = visible;
  job.socket = zygote->theirs_.get();
  job.makes_namespaces = true;
  job.limits = limits;
  job.limits.wall = kZygoteLifetime;
  job.limits.cpu = kZygoteLifetime;
  job.limits.address_space_bytes = 0;
  job.limits.processes += 2 * PythonZygote::kProcessesOfOurs;
  job.limits.open_files = FilesOfOurs(limits);
  // A child of a thread of its own, for children end with the thread that forked them.
  zygote->thread_ = std::thread([&sandbox, job, cgroup, self = zygote.get()] {
    // What it and bubblewrap print (it prints nothing else) says why it does not start.
    const absl::StatusOr<JobResult> ended = sandbox.Run(job, cgroup, self->stop_);
    self->last_words_ = ended.ok() ? ended->child.error : std::string(ended.status().message());
    shutdown(self->theirs_.get(), SHUT_RDWR);
  });
  const std::string setup = SetupFrame(sandbox, limits);
  std::string ready;
  absl::Status status = absl::OkStatus();
  for (std::string_view rest = setup; !rest.empty() && status.ok();) {
    const ssize_t count = send(zygote->control_.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
    if (count < 0 && errno != EINTR) {
      status = ZygoteLost(strerror(errno));
    }
    rest.remove_prefix(count > 0 ? static_cast<std::size_t>(count) : 0);
  }
  status.Update(zygote->Receive(&ready, 1, nullptr));
  if (!status.ok()) {
    zygote->stop_.Cancel();
    zygote->thread_.join();
    return ZygoteLost(Cat(std::string(status.message()), ": ", Trim(zygote->last_words_)));
  }
  return zygote;
}

PythonZygote::~PythonZygote() {
  stop_.Cancel();
  if (thread_.joinable()) {
    thread_.join();
  }
}

absl::Status PythonZygote::Receive(std::string* data, std::size_t size, UniqueFd* descriptor) {
  const absl::Time deadline = absl::Now() + kProgramStart;
  while (data->size() < size) {
    pollfd wait{.fd = control_.get(), .events = POLLIN, .revents = 0};
    const std::int64_t left = absl::ToInt64Milliseconds(deadline - absl::Now());
    if (left <= 0 || poll(&wait, 1, static_cast<int>(left)) == 0) {
      return ZygoteLost("it does not answer");
    }
    std::array<char, 64> buffer;
    iovec piece{.iov_base = buffer.data(), .iov_len = std::min(buffer.size(), size - data->size())};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> space{};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = space.data();
    message.msg_controllen = space.size();
    const ssize_t count = recvmsg(control_.get(), &message, MSG_CMSG_CLOEXEC);
    if (count <= 0) {
      if (count < 0 && errno == EINTR) {
        continue;
      }
      return ZygoteLost("it ended");
    }
    data->append(buffer.data(), static_cast<std::size_t>(count));
    if (const cmsghdr* header = CMSG_FIRSTHDR(&message);
        header != nullptr && header->cmsg_type == SCM_RIGHTS) {
      int received = -1;
      std::memcpy(&received, CMSG_DATA(header), sizeof received);
      UniqueFd owned(received);
      if (descriptor != nullptr) {
        *descriptor = std::move(owned);
      }
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> PythonZygote::Fork(const std::vector<std::pair<int, int>>& descriptors) {
  std::vector<int> sent;
  for (const int number : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, kReportDescriptor}) {
    for (const auto& [place, ours] : descriptors) {
      if (place == number) {
        sent.push_back(ours);
      }
    }
  }
  sent.push_back(text_);
  for (const auto& [place, ours] : descriptors) {
    if (place == kSocketDescriptor) {
      sent.push_back(ours);
    }
  }
  if (!SendDescriptors(control_.get(), letter_, sent)) {
    return ZygoteLost(strerror(errno));
  }
  std::string answer;
  UniqueFd process;
  BITSWEEP_RETURN_IF_ERROR(Receive(&answer, 1, &process));
  if (answer != "P" || !process.valid()) {
    return ZygoteLost("it did not start the program");
  }
  return process;
}

absl::StatusOr<ForkedEnd> PythonZygote::Wait() {
  std::string answer;
  std::array<std::int64_t, 4> numbers{};
  BITSWEEP_RETURN_IF_ERROR(Receive(&answer, sizeof numbers, nullptr));
  for (std::size_t i = 0; i < answer.size(); ++i) {
    std::int64_t& number = numbers.at(i / sizeof(std::int64_t));
    number = static_cast<std::int64_t>(static_cast<std::uint64_t>(number) << 8U |
                                       static_cast<unsigned char>(answer[i]));
  }
  return ForkedEnd{.status = static_cast<int>(numbers[0]),
                   .cpu = absl::Microseconds(numbers[1] + numbers[2]),
                   .memory_bytes = numbers[3] * 1024};
}

absl::StatusOr<JobResult> PythonZygote::Run(const Job& job,
                                            bool apart,
                                            const Cancellation& cancellation) {
  BITSWEEP_CHECK(job.files.size() == 1);
  BITSWEEP_ASSIGN_OR_RETURN(const UniqueFd text, MemoryFile(job.files.front().content));
  letter_ = apart ? 'A' : 'T';
  text_ = text.get();
  ChildSpec spec;
  spec.forker = this;
  spec.has_inner = true;  // The init process speaks of signals as bubblewrap does.
  spec.input = job.input;
  spec.wall = job.limits.wall;
  spec.start_allowance = job.start_allowance;
  spec.output_bytes_max = job.limits.output_bytes;
  spec.report_bytes_max = job.limits.report_bytes;
  if (job.socket >= 0) {
    spec.descriptors.emplace_back(kSocketDescriptor, job.socket);
  }
  if (cgroup_ == nullptr || !cgroup_->limits_memory()) {
    spec.memory_bytes_max = job.limits.memory_bytes;
  }
  const CgroupCounters before = cgroup_ != nullptr ? cgroup_->Read() : CgroupCounters{};
  absl::StatusOr<ChildResult> child = RunChild(spec, cancellation);
  const CgroupCounters after = cgroup_ != nullptr ? cgroup_->Read() : CgroupCounters{};
  JobResult result{.child = {},
                   .out_of_memory = after.oom_kills > before.oom_kills ||
                                    (child.ok() && child->memory_exceeded),
                   .forks_refused = after.forks_refused > before.forks_refused};
  if (child.ok()) {
    result.child = *std::move(child);
    return result;
  }
  if (absl::IsUnavailable(child.status()) && result.out_of_memory) {
    // The kernel took the zygote, too, for its program's memory.
    result.child.signal = SIGKILL;
    result.child.report = "S\n";
    return result;
  }
  return child.status();
}

}  // namespace bitsweep::grade
