#include "worker/engine/check_kernel.h"

#include <string>

#include "worker/engine/error.h"
#include "worker/kernels/device.h"

namespace bitsweep::engine {

void CheckKernel(kernels::KernelStatus status, const char* op) {
  if (status == kernels::KernelStatus::kOk) {
    return;
  }
  const char* why = "bad shape";
#if defined(BITSWEEP_CUDA)
  if (status == kernels::KernelStatus::kDeviceError) {
    why = kernels::LastDeviceError();
  }
#endif
  throw EngineError(FailureClass::kBug, std::string(op) + ": " + why);
}

}  // namespace bitsweep::engine
