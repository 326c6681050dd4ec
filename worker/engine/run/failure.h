// From an exception to the failure class of the contract. Thread rule: any thread.
#pragma once

#include <exception>
#include <string>

#include "worker/engine/error.h"

namespace bitsweep::engine {

struct Failure {
  FailureClass failure;
  std::string message;
};

/// EngineError keeps its class; std::bad_alloc and torch's failed CPU allocation are oom_host,
/// torch's out of memory on a device oom_gpu, file-system errors by their code; the rest is a bug.
Failure ClassifyException(const std::exception_ptr& exception);

}  // namespace bitsweep::engine
