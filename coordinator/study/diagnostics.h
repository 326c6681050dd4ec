// Collects the mistakes of a file, so that a user sees all of them at once. One per parse; not
// thread-safe.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <absl/status/status.h>

namespace bitsweep {

class Diagnostics {
 public:
  explicit Diagnostics(std::string file_name) : file_name_(std::move(file_name)) {}

  /// `line` counts from 1; 0 where the mistake has no line (a setting given on the command line).
  void Add(int line, std::string message);
  bool empty() const { return entries_.empty(); }

  /// OK, or INVALID_ARGUMENT with one line per mistake, sorted by line, each mistake once, at most
  /// kSweepErrorsMax.
  absl::Status ToStatus() const;

 private:
  std::string file_name_;
  std::vector<std::pair<int, std::string>> entries_;
};

}  // namespace bitsweep
