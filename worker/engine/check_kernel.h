// What an op's status becomes in the engine. Thread rule: any thread.
#pragma once

#include "worker/kernels/status.h"

namespace bitsweep::engine {

/// Throws kBug naming the op, and what the device said, unless it went well.
void CheckKernel(kernels::KernelStatus status, const char* op);

}  // namespace bitsweep::engine
