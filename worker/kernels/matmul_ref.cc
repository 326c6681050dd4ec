#include "worker/kernels/matmul.h"
#include "worker/kernels/simd.h"

namespace bitsweep::kernels {

KernelStatus MatmulRef(const MatmulArgs& args) {
  if (args.b == nullptr || args.rows < 0 || args.lda < args.b->depth() ||
      args.ldc < args.b->columns()) {
    return KernelStatus::kBadShape;
  }
  for (std::int64_t r = 0; r < args.rows; ++r) {
    for (std::int64_t n = 0; n < args.b->columns(); ++n) {
      const float* strip = args.b->Strip(n / kStripColumns);
      float sum = 0.0F;
      for (std::int64_t k = 0; k < args.b->depth(); ++k) {
        sum += args.a[r * args.lda + k] * strip[k * kStripColumns + n % kStripColumns];
      }
      float& out = args.c[r * args.ldc + n];
      out = args.accumulate ? out + sum : sum;
    }
  }
  return KernelStatus::kOk;
}

}  // namespace bitsweep::kernels
