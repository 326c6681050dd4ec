#include "worker/engine/finetune/resident_memory.h"

#include <fstream>
#include <malloc.h>
#include <string>

namespace bitsweep::engine {
namespace {

// A figure of /proc/self/status, in bytes; -1 where it is not there.
std::int64_t StatusFigure(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.compare(0, name.size() + 1, name + ":") == 0) {
      return std::stoll(line.substr(name.size() + 1)) * 1024;
    }
  }
  return -1;
}

}  // namespace

std::int64_t ForgetPeakMemory() {
  ::malloc_trim(0);
  std::ofstream references("/proc/self/clear_refs");
  references << "5";  // Resets the peak, proc(5).
  references.flush();
  return references ? StatusFigure("VmRSS") : -1;
}

std::int64_t PeakMemory() {
  return StatusFigure("VmHWM");
}

}  // namespace bitsweep::engine
