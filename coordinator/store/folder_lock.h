// One process at a time owns a data folder. The kernel drops the lock when the process ends,
// however it ends.
#pragma once

#include <memory>
#include <string>

#include <absl/status/statusor.h>

namespace bitsweep {

class FolderLock {
 public:
  /// Locks `dir`/lock and writes this process's id into it. FAILED_PRECONDITION: another process
  /// has it (named). PERMISSION_DENIED, NOT_FOUND: the file cannot be made.
  static absl::StatusOr<std::unique_ptr<FolderLock>> Take(const std::string& dir);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  explicit FolderLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

}  // namespace bitsweep
