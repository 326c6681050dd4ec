#include "worker/kernels/dequantize.h"

namespace bitsweep::kernels {

KernelStatus DequantizeRef(const DequantizeArgs& args) {
  const CodeShape& n = args.shape;
  if (!n.Valid()) {
    return KernelStatus::kBadShape;
  }
  for (std::int64_t o = 0; o < n.O; ++o) {
    for (std::int64_t j = 0; j < n.I; ++j) {
      for (std::int64_t d = 0; d < n.g; ++d) {
        float sum = 0.0F;
        for (std::int64_t m = 0; m < n.M; ++m) {
          sum += args.codebooks[(m * n.K + args.codes[(o * n.I + j) * n.M + m]) * n.g + d];
        }
        args.out[(o * n.I + j) * n.g + d] = args.scales[o] * sum;
      }
    }
  }
  return KernelStatus::kOk;
}

}  // namespace bitsweep::kernels
