#include <cmath>
#include <vector>

#include "worker/kernels/entry_solve.h"

namespace bitsweep::kernels {
namespace {

using std::sqrt;
#define BITSWEEP_DEVICE
#include "worker/kernels/entry_solve.inc"
#undef BITSWEEP_DEVICE

}  // namespace

KernelStatus EntryFactorRef(const EntryFactorArgs& args, const std::int32_t* codes) {
  const CodeShape& n = args.shape;
  if (!n.Valid() || n.g != 8) {
    return KernelStatus::kBadShape;
  }
  std::vector<double> sums(static_cast<std::size_t>(n.M * n.K * 64), 0.0);
  for (std::int64_t p = 0; p < n.O * n.I; ++p) {
    const double scale = args.scales[p / n.I];
    for (std::int64_t m = 0; m < n.M; ++m) {
      for (std::int64_t i = 0; i < 64; ++i) {
        sums[static_cast<std::size_t>((m * n.K + codes[p * n.M + m]) * 64 + i)] +=
            scale * scale * static_cast<double>(args.diagonal[p % n.I * 64 + i]);
      }
    }
  }
  for (std::size_t i = 0; i < sums.size(); ++i) {
    args.factors[i] = static_cast<float>(sums[i]);
  }
  for (std::int64_t entry = 0; entry < n.M * n.K; ++entry) {
    FactorBlock(args.factors + entry * 64);
  }
  return KernelStatus::kOk;
}

KernelStatus EntrySolveRef(std::int64_t entries, const float* factors, const float* r, float* z) {
  for (std::int64_t entry = 0; entry < entries; ++entry) {
    SolveBlock(factors + entry * 64, r + entry * 8, z + entry * 8);
  }
  return KernelStatus::kOk;
}

}  // namespace bitsweep::kernels
