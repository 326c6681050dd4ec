// Where kernels of worker/kernels run beside libtorch's. Thread rule: any thread; a stream is the
// calling thread's current one.
#pragma once

#include <ATen/core/Tensor.h>

#include "worker/kernels/device.h"

namespace bitsweep::engine {

/// The current stream of a tensor's device. Throws kBug in a build without CUDA.
kernels::DeviceStream StreamOf(const at::Tensor& tensor);

/// What stands for a call of kernels in a build without them: throws kBug naming it.
[[noreturn]] void ThrowWithoutKernels(const char* what);

}  // namespace bitsweep::engine
