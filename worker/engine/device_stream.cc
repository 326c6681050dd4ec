#include "worker/engine/device_stream.h"

#include <string>

#include "worker/engine/error.h"

#if defined(BITSWEEP_CUDA)
#include <c10/cuda/CUDAStream.h>
#endif

namespace bitsweep::engine {

kernels::DeviceStream StreamOf([[maybe_unused]] const at::Tensor& tensor) {
#if defined(BITSWEEP_CUDA)
  return c10::cuda::getCurrentCUDAStream(tensor.device().index()).stream();
#else
  ThrowWithoutKernels("a device's stream");
#endif
}

void ThrowWithoutKernels(const char* what) {
  throw EngineError(FailureClass::kBug,
                    std::string(what) + ", in a build without kernels for a device");
}

}  // namespace bitsweep::engine
