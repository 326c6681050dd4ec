#include "worker/kernels/nearest_centroid.h"

#include <algorithm>
#include <vector>

#include "worker/kernels/candidates.h"
#include "worker/kernels/parallel.h"
#include "worker/kernels/simd.h"

namespace bitsweep::kernels {
namespace {

constexpr std::int64_t kPointGrain = 256;

}  // namespace

KernelStatus NearestCentroid(const NearestCentroidArgs& args) {
  if (args.points < 0 || args.centroids <= 0 || args.group <= 0) {
    return KernelStatus::kBadShape;
  }
  const std::int64_t g = args.group;
  CandidateTable table;
  table.Pack(args.c, args.centroids, g);
  std::vector<float> norms(static_cast<std::size_t>(table.padded), kPaddingNorm);
  for (std::int64_t k = 0; k < args.centroids; ++k) {
    float norm = 0.0F;
    for (std::int64_t d = 0; d < g; ++d) {
      norm += args.c[k * g + d] * args.c[k * g + d];
    }
    norms[static_cast<std::size_t>(k)] = norm;
  }
  const std::vector<float> halves(static_cast<std::size_t>(kPointGrain), 0.5F);
  const SimdLoops& simd = ActiveSimd();
  ParallelFor(args.points, kPointGrain, args.threads, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; n += kPointGrain) {
      simd.argmin(std::min(kPointGrain, end - n),
                  g,
                  table.padded,
                  halves.data(),
                  args.x + n * g,
                  norms.data(),
                  table.table.data(),
                  args.assignment + n);
    }
  });
  return KernelStatus::kOk;
}

}  // namespace bitsweep::kernels
