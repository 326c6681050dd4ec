#include "worker/engine/host_memory.h"

#include <algorithm>
#include <fstream>
#include <optional>

namespace bitsweep::engine {
namespace {

// A file that holds one number; nothing for "max" and for files that are not there.
std::optional<std::int64_t> NumberIn(const std::string& path) {
  std::ifstream file(path);
  std::int64_t value = 0;
  return file >> value ? std::optional(value) : std::nullopt;
}

// The value of a line "key value" or "key: value".
std::optional<std::int64_t> NumberOf(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  std::string found;
  std::int64_t value = 0;
  std::string rest;
  while (file >> found >> value && std::getline(file, rest)) {
    if (found == key) {
      return value;
    }
  }
  return std::nullopt;
}

struct GroupFiles {
  std::string mount, limit, usage, reclaimable;
};

// The least that the group `path` and those around it leave.
std::int64_t LeftByGroups(const GroupFiles& files, std::string path, std::int64_t available) {
  for (;;) {
    const std::string folder = files.mount + path + "/";
    const std::optional<std::int64_t> limit = NumberIn(folder + files.limit);
    const std::optional<std::int64_t> usage = NumberIn(folder + files.usage);
    if (limit && usage) {
      const std::int64_t cached =
          NumberOf(folder + "memory.stat", files.reclaimable).value_or(0);
      available = std::min(available, std::max<std::int64_t>(0, *limit - *usage + cached));
    }
    const std::size_t slash = path.rfind('/');
    if (path.empty() || slash == std::string::npos) {
      return available;
    }
    path.resize(slash);
  }
}

}  // namespace

std::int64_t AvailableHostMemory(const std::string& root) {
  std::int64_t available = NumberOf(root + "/proc/meminfo", "MemAvailable:").value_or(0) * 1024;
  std::ifstream groups(root + "/proc/self/cgroup");
  // "0::/path" of version 2, "5:memory:/path" of version 1.
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) {
      continue;
    }
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    std::string path = line.substr(second + 1);
    path = path == "/" ? "" : path;
    if (controllers == ",,") {
      available = LeftByGroups(
          {root + "/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"},
          path,
          available);
    } else if (controllers.find(",memory,") != std::string::npos) {
      available = LeftByGroups({root + "/sys/fs/cgroup/memory",
                                "memory.limit_in_bytes",
                                "memory.usage_in_bytes",
                                "total_inactive_file"},
                               path,
                               available);
    }
  }
  return available;
}

}  // namespace bitsweep::engine
