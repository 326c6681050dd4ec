#include "worker/engine/checkpoint/atomic_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "worker/engine/error.h"

namespace bitsweep::engine {

AtomicFile::AtomicFile(std::string path)
    : path_(std::move(path)), temporary_path_(path_ + ".part." + std::to_string(::getpid())) {
  fd_ = ::open(temporary_path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd_ < 0) {
    ThrowWriteError(temporary_path_ + ": cannot create", errno);
  }
}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) {
    ::close(fd_);
    ::unlink(temporary_path_.c_str());
  }
}

void AtomicFile::Write(const void* bytes, std::size_t size) {
  const char* next = static_cast<const char*>(bytes);
  while (size > 0) {
    const ssize_t count = ::write(fd_, next, size);
    if (count < 0) {
      if (errno == EINTR) {
        continue;
      }
      ThrowWriteError(temporary_path_ + ": cannot write", errno);
    }
    next += count;
    size -= static_cast<std::size_t>(count);
  }
}

void AtomicFile::Commit() {
  if (::fsync(fd_) != 0) {
    ThrowWriteError(temporary_path_ + ": cannot fsync", errno);
  }
  if (::rename(temporary_path_.c_str(), path_.c_str()) != 0) {
    ThrowWriteError(path_ + ": cannot rename into place", errno);
  }
  ::close(std::exchange(fd_, -1));
  // The rename itself must survive a crash, too.
  const std::filesystem::path parent = std::filesystem::path(path_).parent_path();
  const std::string folder = parent.empty() ? "." : parent.string();
  const int folder_fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder_fd >= 0) {
    ::fsync(folder_fd);
    ::close(folder_fd);
  }
}

void WriteFileAtomically(const std::string& path, std::string_view text) {
  AtomicFile file(path);
  file.Write(text);
  file.Commit();
}

std::string ReadWholeFile(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    ThrowBadInput(path + ": cannot open: " + std::strerror(errno));
  }
  std::string text;
  char buffer[1 << 16];
  while (true) {
    const ssize_t count = ::read(fd, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      const int error = errno;
      ::close(fd);
      ThrowBadInput(path + ": cannot read: " + std::strerror(error));
    }
    if (count == 0) {
      break;
    }
    text.append(buffer, static_cast<std::size_t>(count));
  }
  ::close(fd);
  return text;
}

}  // namespace bitsweep::engine
