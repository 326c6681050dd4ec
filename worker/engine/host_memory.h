// What the machine's memory has room for. Thread rule: any thread.
#pragma once

#include <cstdint>

namespace bitsweep::engine {

/// MemAvailable of /proc/meminfo in bytes; 0 where there is none.
std::int64_t AvailableHostMemory();

}  // namespace bitsweep::engine
