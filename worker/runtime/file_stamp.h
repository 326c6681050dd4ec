// What tells that a file has not been changed since it was hashed, without reading it again.
// Pure but for stat: any thread.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include <absl/status/statusor.h>

namespace bitsweep {

struct FileStamp {
  std::uint64_t device = 0, inode = 0;
  std::int64_t size = 0;
  std::int64_t mtime_ns = 0;
  friend bool operator==(const FileStamp&, const FileStamp&) = default;
};

/// Follows links. NOT_FOUND when there is no such file.
absl::StatusOr<FileStamp> StampOf(const std::string& path);
nlohmann::json ToJson(const FileStamp& stamp);
/// Throws nlohmann::json::exception.
FileStamp StampFromJson(const nlohmann::json& value);

}  // namespace bitsweep
