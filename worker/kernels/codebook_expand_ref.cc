#include "worker/kernels/codebook_expand.h"

namespace bitsweep::kernels {

KernelStatus CodebookExpandRef(const CodebookExpandArgs& args) {
  const CodebookShape& n = args.shape;
  if (!n.Valid() || args.count < 1 || args.count > kCodebookPartsMax) {
    return KernelStatus::kBadShape;
  }
  std::int64_t at = 0;
  for (int i = 0; i < args.count; ++i) {
    const CodebookMatrix& part = args.parts[i];
    for (std::int64_t o = 0; o < part.O; ++o) {
      for (std::int64_t j = 0; j < n.I; ++j) {
        for (std::int64_t d = 0; d < n.g; ++d, ++at) {
          float sum = 0.0F;
          for (std::int64_t m = 0; m < n.M; ++m) {
            const std::int64_t code = CodeAt(n, part.codes, (m * part.O + o) * n.stride() + j);
            sum += LoadElement(Element::kF16, part.table, (m * n.K() + code) * n.g + d);
          }
          StoreElement(
              args.element, args.out, at, RoundElement(Element::kF16, part.scales[o] * sum));
        }
      }
    }
  }
  return KernelStatus::kOk;
}

}  // namespace bitsweep::kernels
