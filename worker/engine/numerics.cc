#include "worker/engine/numerics.h"

#include <ATen/Context.h>

#include "worker/engine/error.h"

namespace bitsweep::engine {

at::Device DeviceOf(const Numerics& numerics) {
  if (numerics.device == "cpu") {
    return at::Device(at::kCPU);
  }
  if (numerics.device == "cuda") {
    if (!at::hasCUDA()) {
      ThrowBadInput(
          "device cuda: this engine's libtorch sees no CUDA device (built without CUDA, or no "
          "driver or GPU here); "
          "use cpu");
    }
    return at::Device(at::kCUDA, 0);
  }
  ThrowBadInput("device '" + numerics.device + "': want cpu or cuda");
}

at::ScalarType DtypeOf(const Numerics& numerics) {
  if (numerics.dtype == "f32") {
    return at::kFloat;
  }
  if (numerics.dtype == "f16") {
    return at::kHalf;
  }
  if (numerics.dtype == "bf16") {
    return at::kBFloat16;
  }
  ThrowBadInput("dtype '" + numerics.dtype + "': want f32, f16 or bf16");
}

Tf32Products::Tf32Products(bool allows) : before_(at::globalContext().allowTF32CuBLAS()) {
  if (allows) {
    at::globalContext().setAllowTF32CuBLAS(true);
  }
}

Tf32Products::~Tf32Products() {
  at::globalContext().setAllowTF32CuBLAS(before_);
}

}  // namespace bitsweep::engine
