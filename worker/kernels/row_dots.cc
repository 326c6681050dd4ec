#include "worker/kernels/row_dots.h"

#include "worker/kernels/parallel.h"
#include "worker/kernels/simd.h"

namespace bitsweep::kernels {
namespace {

constexpr std::int64_t kRowGrain = 32;

}  // namespace

KernelStatus RowDots(const RowDotsArgs& args) {
  if (args.rows < 0 || args.columns < 0) {
    return KernelStatus::kBadShape;
  }
  const SimdLoops& simd = ActiveSimd();
  ParallelFor(args.rows, kRowGrain, args.threads, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      args.out[r] = simd.dot(args.columns, args.a + r * args.columns, args.b + r * args.columns);
    }
  });
  return KernelStatus::kOk;
}

}  // namespace bitsweep::kernels
