// What the machine's memory has room for. Thread rule: any thread.
#pragma once

#include <cstdint>
#include <string>

namespace bitsweep::engine {

/// Bytes that this process may still take: MemAvailable of /proc/meminfo, and at most what the limits
/// of its control groups (cgroup v2, or v1's memory controller) leave, whose page cache counts as
/// free. A batch system's job has such limits far below the machine's memory. 0 where meminfo
/// cannot be read. `root` stands for "/" in tests.
std::int64_t AvailableHostMemory(const std::string& root = "");

}  // namespace bitsweep::engine
