// What a kernel answers: kernels know neither torch nor exceptions nor absl, so that the same
// headers serve the CPU and a GPU. Thread rule: plain values.
#pragma once

namespace bitsweep::kernels {

enum class KernelStatus {
  kOk,
  kBadShape,     // A size is not positive, or sizes contradict each other; nothing was written.
  kDeviceError,  // The device refused a launch; LastDeviceError() (device.h) says why.
};

}  // namespace bitsweep::kernels
