#include "worker/kernels/dequantize.h"

#include "worker/kernels/launch.cuh"

namespace bitsweep::kernels {
namespace {

constexpr int kThreads = 256;

// A thread takes one weight; the threads of a group read one entry together.
__global__ void Decode(DequantizeArgs a, const float* minuend) {
  const std::int64_t at = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const CodeShape& n = a.shape;
  if (at >= n.O * n.I * n.g) {
    return;
  }
  const std::int64_t group = at / n.g;
  const std::int64_t d = at % n.g;
  float sum = 0.0F;
  for (std::int64_t m = 0; m < n.M; ++m) {
    sum += __ldg(a.codebooks + (m * n.K + __ldg(a.codes + group * n.M + m)) * n.g + d);
  }
  const float value = a.scales[group / n.I] * sum;
  // Rounded before the subtraction, as where the two are separate steps.
  a.out[at] = minuend == nullptr ? value : __fsub_rn(minuend[at], value);
}

}  // namespace

KernelStatus DequantizeCuda(const DequantizeArgs& args,
                            const float* minuend,
                            DeviceStream stream) {
  const CodeShape& n = args.shape;
  if (!n.Valid()) {
    return KernelStatus::kBadShape;
  }
  Decode<<<Blocks(n.O * n.I * n.g, kThreads), kThreads, 0, stream>>>(args, minuend);
  return LaunchStatus();
}

}  // namespace bitsweep::kernels
