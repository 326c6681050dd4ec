#include "worker/runtime/file_stamp.h"

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include <absl/strings/str_cat.h>

namespace bitsweep {

absl::StatusOr<FileStamp> StampOf(const std::string& path) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) {
    return absl::NotFoundError(absl::StrCat(path, ": ", std::strerror(errno)));
  }
  constexpr std::int64_t kNanoseconds = 1'000'000'000;
  return FileStamp{.device = found.st_dev,
                   .inode = found.st_ino,
                   .size = found.st_size,
                   .mtime_ns = found.st_mtim.tv_sec * kNanoseconds + found.st_mtim.tv_nsec};
}

nlohmann::json ToJson(const FileStamp& stamp) {
  return {{"device", stamp.device},
          {"inode", stamp.inode},
          {"size", stamp.size},
          {"mtime_ns", stamp.mtime_ns}};
}

FileStamp StampFromJson(const nlohmann::json& value) {
  return {.device = value.at("device"),
          .inode = value.at("inode"),
          .size = value.at("size"),
          .mtime_ns = value.at("mtime_ns")};
}

}  // namespace bitsweep
