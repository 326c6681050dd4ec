#include "worker/kernels/codebook_matvec.h"

namespace bitsweep::kernels {
namespace {

// <x, row o of the matrix without its scale>
double RowProduct(const CodebookMatvecArgs& args,
                  const CodebookMatrix& part,
                  std::int64_t o,
                  std::int64_t x_begin) {
  const CodebookShape& n = args.shape;
  double sum = 0.0;
  for (std::int64_t j = 0; j < n.I; ++j) {
    for (std::int64_t m = 0; m < n.M; ++m) {
      const std::int64_t code = CodeAt(n, part.codes, (m * part.O + o) * n.stride() + j);
      for (std::int64_t d = 0; d < n.g; ++d) {
        const float entry = LoadElement(Element::kF16, part.table, (m * n.K() + code) * n.g + d);
        sum += static_cast<double>(RoundElement(args.element, entry)) *
               static_cast<double>(LoadElement(args.element, args.x, x_begin + j * n.g + d));
      }
    }
  }
  return sum;
}

}  // namespace

KernelStatus CodebookMatvecRef(const CodebookMatvecArgs& args) {
  const CodebookShape& n = args.shape;
  if (!n.Valid() || args.rows < 1 || args.count < 1 || args.count > kCodebookPartsMax) {
    return KernelStatus::kBadShape;
  }
  std::int64_t width = 0;
  for (int i = 0; i < args.count; ++i) {
    width += args.parts[i].O;
  }
  std::int64_t column = 0;
  for (int i = 0; i < args.count; ++i) {
    const CodebookMatrix& part = args.parts[i];
    for (std::int64_t row = 0; row < args.rows; ++row) {
      for (std::int64_t o = 0; o < part.O; ++o) {
        const double sum = RowProduct(args, part, o, row * n.I * n.g);
        StoreElement(args.element,
                     args.out,
                     row * width + column + o,
                     static_cast<float>(static_cast<double>(part.scales[o]) * sum));
      }
    }
    column += part.O;
  }
  return KernelStatus::kOk;
}

}  // namespace bitsweep::kernels
