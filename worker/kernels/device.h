// What the device versions of the ops share: the stream they run on and the error they met. It
// exists so that headers of ops name neither CUDA nor torch. Functions that end in `Cuda` are there
// only in builds with BITSWEEP_CUDA; their pointers are device memory of the current device, they
// queue work on `stream` and return before it ran. Thread rule: calls on different streams are
// independent.
#pragma once

#include "worker/kernels/status.h"

struct CUstream_st;

namespace bitsweep::kernels {

/// cudaStream_t.
using DeviceStream = CUstream_st*;

/// What CUDA said about this thread's last kKernelStatus::kDeviceError: "name: description".
const char* LastDeviceError();

/// Whether the current device has what the Cuda ops need: compute capability 9.0, for which they
/// are compiled.
bool DeviceSupported();

}  // namespace bitsweep::kernels
