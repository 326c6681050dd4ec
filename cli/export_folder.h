// A folder that appears whole or not at all: written under a temporary name beside its place, with
// the digests of everything in it, then renamed. Runs on: one thread.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <string_view>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

namespace bitsweep::cli {

class ExportFolder {
 public:
  /// Makes the temporary folder. ALREADY_EXISTS: `path` is there and not `replace`. With `replace`,
  /// FAILED_PRECONDITION: what is there is neither empty nor an earlier export, so that a slip of
  /// the pen deletes nobody's work. INVALID_ARGUMENT: it cannot be made.
  static absl::StatusOr<std::unique_ptr<ExportFolder>> Begin(const std::string& path, bool replace);
  /// Removes the temporary folder unless Commit succeeded.
  ~ExportFolder();
  ExportFolder(const ExportFolder&) = delete;
  ExportFolder& operator=(const ExportFolder&) = delete;

  /// Writes one file; `name` is relative, '/'-separated. INTERNAL: it cannot be written.
  absl::Status Write(const std::string& name, std::string_view text);
  /// Adds to a file, which need not be there yet.
  absl::Status Append(const std::string& name, std::string_view text);
  /// Writes SHA256SUMS (as sha256sum(1) does) and moves the folder to its place.
  absl::Status Commit();

  /// How many files were written, SHA256SUMS not counted.
  std::size_t files() const { return names_.size(); }

 private:
  ExportFolder(std::string path, std::string temporary, bool replace);
  absl::Status Put(const std::string& name, std::string_view text, bool append);

  const std::string path_;
  std::string temporary_;  // Empty once it has been renamed.
  const bool replace_;
  std::set<std::string> names_;
};

/// What is no plain file name in `text` becomes '-'.
std::string PlainFileName(std::string_view text);

}  // namespace bitsweep::cli
