#include "worker/kernels/matmul.h"

#include <algorithm>

#include "worker/kernels/parallel.h"
#include "worker/kernels/simd.h"

namespace bitsweep::kernels {
namespace {

// A multiple of every tile height (8, 6, 4), so that a split by threads leaves no ragged tile in
// the middle.
constexpr std::int64_t kRowGrain = 24;

}  // namespace

void PackedMatrix::Pack(const float* b,
                        std::int64_t depth,
                        std::int64_t columns,
                        std::int64_t ldb,
                        const std::int32_t* rows) {
  depth_ = depth;
  columns_ = columns;
  const std::int64_t strips = (columns + kStripColumns - 1) / kStripColumns;
  values_.resize(static_cast<std::size_t>(strips * depth * kStripColumns));
  for (std::int64_t s = 0; s < strips; ++s) {
    const std::int64_t first = s * kStripColumns;
    const std::int64_t width = std::min(kStripColumns, columns - first);
    float* out = values_.data() + s * depth * kStripColumns;
    for (std::int64_t k = 0; k < depth; ++k, out += kStripColumns) {
      const float* row = b + (rows == nullptr ? k : rows[k]) * ldb + first;
      std::copy(row, row + width, out);
      std::fill(out + width, out + kStripColumns, 0.0F);
    }
  }
}

const float* PackedMatrix::Strip(std::int64_t index) const {
  return values_.data() + index * depth_ * kStripColumns;
}

KernelStatus Matmul(const MatmulArgs& args) {
  if (args.b == nullptr || args.rows < 0 || args.lda < args.b->depth() ||
      args.ldc < args.b->columns()) {
    return KernelStatus::kBadShape;
  }
  const SimdLoops& simd = ActiveSimd();
  const std::int64_t columns = args.b->columns();
  ParallelFor(args.rows, kRowGrain, args.threads, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = 0; n < columns; n += kStripColumns) {
      simd.strip(end - begin,
                 args.b->depth(),
                 std::min(kStripColumns, columns - n),
                 args.a + begin * args.lda,
                 args.lda,
                 args.b->Strip(n / kStripColumns),
                 args.c + begin * args.ldc + n,
                 args.ldc,
                 args.accumulate);
    }
  });
  return KernelStatus::kOk;
}

}  // namespace bitsweep::kernels
