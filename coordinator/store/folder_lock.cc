#include "coordinator/store/folder_lock.h"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <sys/file.h>
#include <system_error>
#include <unistd.h>

#include "coordinator/domain/text.h"

namespace bitsweep {

absl::StatusOr<std::unique_ptr<FolderLock>> FolderLock::Take(const std::string& dir) {
  const std::string path = dir + "/lock";
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) {
    const std::string reason = std::generic_category().message(errno);
    return errno == ENOENT ? absl::NotFoundError(Cat(path, ": ", reason))
                           : absl::PermissionDeniedError(Cat(path, ": ", reason));
  }
  auto lock = std::unique_ptr<FolderLock>(new FolderLock(descriptor));
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    std::array<char, 32> owner{};
    const ssize_t size = ::pread(descriptor, owner.data(), owner.size(), 0);
    std::string pid(owner.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
    pid = pid.substr(0, pid.find('\n'));
    return absl::FailedPreconditionError(Cat("data folder ",
                                             dir,
                                             " is in use by process ",
                                             pid.empty() ? "(unknown)" : pid,
                                             ": one coordinator at a time"));
  }
  const std::string text = Cat(::getpid(), "\n");
  if (::ftruncate(descriptor, 0) != 0 ||
      ::pwrite(descriptor, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    // The id only serves a message; the lock itself holds.
    static_cast<void>(::ftruncate(descriptor, 0) == 0);
  }
  return lock;
}

FolderLock::~FolderLock() {
  ::close(descriptor_);
}

}  // namespace bitsweep
