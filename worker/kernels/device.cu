#include <cstdio>

#include "worker/kernels/launch.cuh"

namespace bitsweep::kernels {
namespace {

thread_local char last_error[256] = "no error";

}  // namespace

KernelStatus Checked(cudaError_t error) {
  if (error == cudaSuccess) {
    return KernelStatus::kOk;
  }
  std::snprintf(last_error,
                sizeof last_error,
                "%s: %s",
                cudaGetErrorName(error),
                cudaGetErrorString(error));
  return KernelStatus::kDeviceError;
}

const char* LastDeviceError() {
  return last_error;
}

bool DeviceSupported() {
  int device = 0;
  int major = 0;
  return cudaGetDevice(&device) == cudaSuccess &&
         cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) == cudaSuccess &&
         major == 9;
}

}  // namespace bitsweep::kernels
