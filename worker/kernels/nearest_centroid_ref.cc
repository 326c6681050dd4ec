#include "worker/kernels/nearest_centroid.h"

namespace bitsweep::kernels {

KernelStatus NearestCentroidRef(const NearestCentroidArgs& args) {
  if (args.points < 0 || args.centroids <= 0 || args.group <= 0) {
    return KernelStatus::kBadShape;
  }
  for (std::int64_t n = 0; n < args.points; ++n) {
    double lowest = 0.0;
    for (std::int64_t k = 0; k < args.centroids; ++k) {
      double distance = 0.0;
      for (std::int64_t d = 0; d < args.group; ++d) {
        const double gap = static_cast<double>(args.x[n * args.group + d]) -
                           static_cast<double>(args.c[k * args.group + d]);
        distance += gap * gap;
      }
      if (k == 0 || distance < lowest) {
        lowest = distance;
        args.assignment[n] = static_cast<std::int32_t>(k);
      }
    }
  }
  return KernelStatus::kOk;
}

}  // namespace bitsweep::kernels
