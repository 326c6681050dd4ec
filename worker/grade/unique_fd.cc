#include "worker/grade/unique_fd.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <sstream>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "worker/grade/text.h"

namespace bitsweep::grade {

void UniqueFd::Reset() {
  if (fd_ >= 0) {
    close(std::exchange(fd_, -1));
  }
}

absl::StatusOr<Pipe> MakePipe() {
  int ends[2] = {-1, -1};
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return absl::ResourceExhaustedError(Cat("pipe: ", strerror(errno)));
  }
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

absl::StatusOr<std::pair<UniqueFd, UniqueFd>> MakeSocketPair() {
  int ends[2] = {-1, -1};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return absl::ResourceExhaustedError(Cat("socketpair: ", strerror(errno)));
  }
  return std::make_pair(UniqueFd(ends[0]), UniqueFd(ends[1]));
}

absl::StatusOr<UniqueFd> MemoryFile(std::string_view content) {
  UniqueFd file(memfd_create("bitsweep", MFD_CLOEXEC));
  while (file.valid() && !content.empty()) {
    const ssize_t written = write(file.get(), content.data(), content.size());
    if (written < 0 && errno != EINTR) {
      return absl::ResourceExhaustedError(Cat("memory file: ", strerror(errno)));
    }
    content.remove_prefix(written > 0 ? static_cast<std::size_t>(written) : 0);
  }
  if (!file.valid() || lseek(file.get(), 0, SEEK_SET) != 0) {
    return absl::ResourceExhaustedError(Cat("memory file: ", strerror(errno)));
  }
  return file;
}

std::string ReadSmallFile(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace bitsweep::grade
