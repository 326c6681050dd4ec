#include "worker/engine/host_memory.h"

#include <fstream>
#include <string>

namespace bitsweep::engine {

std::int64_t AvailableHostMemory() {
  std::ifstream meminfo("/proc/meminfo");
  std::string key;
  std::int64_t kibibytes = 0;
  std::string rest;
  while (meminfo >> key >> kibibytes && std::getline(meminfo, rest)) {
    if (key == "MemAvailable:") {
      return kibibytes * 1024;
    }
  }
  return 0;
}

}  // namespace bitsweep::engine
