#include <vector>

#include "worker/kernels/codebook_gradient.h"

namespace bitsweep::kernels {

KernelStatus CodebookGradientRef(const CodebookGradientArgs& args, const std::int32_t* codes) {
  const CodeShape& n = args.index->shape();
  if (!n.Valid()) {
    return KernelStatus::kBadShape;
  }
  std::vector<double> sums(static_cast<std::size_t>(n.M * n.K * n.g), 0.0);
  for (std::int64_t p = 0; p < n.O * n.I; ++p) {
    for (std::int64_t m = 0; m < n.M; ++m) {
      for (std::int64_t d = 0; d < n.g; ++d) {
        sums[static_cast<std::size_t>((m * n.K + codes[p * n.M + m]) * n.g + d)] +=
            args.x[p * n.g + d];
      }
    }
  }
  for (std::size_t i = 0; i < sums.size(); ++i) {
    args.out[i] = static_cast<float>(sums[i]);
  }
  return KernelStatus::kOk;
}

}  // namespace bitsweep::kernels
