// Owns one file descriptor, and makes those that are handed to children.
// Thread rule: a value; one owner.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <absl/status/statusor.h>

namespace bitsweep::grade {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) {
      Reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~UniqueFd() { Reset(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  void Reset();

 private:
  int fd_ = -1;
};

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

/// A pipe whose ends are closed on exec. RESOURCE_EXHAUSTED: no descriptors left.
absl::StatusOr<Pipe> MakePipe();

/// Two ends of a stream; closed on exec. RESOURCE_EXHAUSTED: no descriptors left.
absl::StatusOr<std::pair<UniqueFd, UniqueFd>> MakeSocketPair();

/// A file in memory that holds `content`, positioned at its beginning, closed on exec.
absl::StatusOr<UniqueFd> MemoryFile(std::string_view content);

/// Reads the whole of a small file of the system; empty when there is none.
std::string ReadSmallFile(const std::string& path);

}  // namespace bitsweep::grade
