#include "worker/engine/error.h"

#include <cerrno>
#include <cstring>

namespace bitsweep::engine {

const char* FailureClassName(FailureClass failure) {
  switch (failure) {
    case FailureClass::kBadInput:
      return "bad_input";
    case FailureClass::kOomGpu:
      return "oom_gpu";
    case FailureClass::kOomHost:
      return "oom_host";
    case FailureClass::kDiskFull:
      return "disk_full";
    case FailureClass::kDiverged:
      return "diverged";
    case FailureClass::kBug:
      return "bug";
  }
  return "bug";
}

void ThrowBadInput(const std::string& message) {
  throw EngineError(FailureClass::kBadInput, message);
}

void ThrowWriteError(const std::string& what, int error_number) {
  const bool is_full = error_number == ENOSPC || error_number == EDQUOT;
  throw EngineError(is_full ? FailureClass::kDiskFull : FailureClass::kBug,
                    what + ": " + std::strerror(error_number));
}

}  // namespace bitsweep::engine
