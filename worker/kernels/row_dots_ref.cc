#include "worker/kernels/row_dots.h"

namespace bitsweep::kernels {

KernelStatus RowDotsRef(const RowDotsArgs& args) {
  if (args.rows < 0 || args.columns < 0) {
    return KernelStatus::kBadShape;
  }
  for (std::int64_t r = 0; r < args.rows; ++r) {
    double sum = 0.0;
    for (std::int64_t n = 0; n < args.columns; ++n) {
      sum += static_cast<double>(args.a[r * args.columns + n]) *
             static_cast<double>(args.b[r * args.columns + n]);
    }
    args.out[r] = sum;
  }
  return KernelStatus::kOk;
}

}  // namespace bitsweep::kernels
