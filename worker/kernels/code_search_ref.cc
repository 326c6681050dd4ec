#include <vector>

#include "worker/kernels/code_search.h"

namespace bitsweep::kernels {
namespace {

using Row = std::vector<double>;

double Loss(const Row& d, const float* h) {
  const std::size_t n = d.size();
  double loss = 0.0;
  for (std::size_t a = 0; a < n; ++a) {
    for (std::size_t b = 0; b < n; ++b) {
      loss += d[a] * static_cast<double>(h[a * n + b]) * d[b];
    }
  }
  return loss;
}

}  // namespace

KernelStatus CodeSearchSweepRef(const CodeSearchArgs& args) {
  const CodeShape& n = args.shape;
  if (!n.Valid()) {
    return KernelStatus::kBadShape;
  }
  const std::int64_t width = n.I * n.g;
  for (std::int64_t o = 0; o < n.O; ++o) {
    Row d(args.residual + o * width, args.residual + (o + 1) * width);
    for (std::int64_t i = 0; i < n.I; ++i) {
      const std::int64_t j = args.group_order[i];
      for (std::int64_t step = 0; step < n.M; ++step) {
        const std::int64_t m = args.codebook_order[i * n.M + step];
        std::int32_t& code = args.codes[(o * n.I + j) * n.M + m];
        const Row before = d;
        const float* old_entry = args.codebooks + (m * n.K + code) * n.g;
        double lowest = 0.0;
        for (std::int64_t k = 0; k < n.K; ++k) {
          Row trial = before;
          for (std::int64_t e = 0; e < n.g; ++e) {
            const double change =
                static_cast<double>(old_entry[e]) - args.codebooks[(m * n.K + k) * n.g + e];
            trial[static_cast<std::size_t>(j * n.g + e)] += args.scales[o] * change;
          }
          const double loss = Loss(trial, args.xtx);
          if (k == 0 || loss < lowest) {
            lowest = loss;
            d = trial;
            code = static_cast<std::int32_t>(k);
          }
        }
      }
    }
    for (std::int64_t a = 0; a < width; ++a) {
      double sum = 0.0;
      for (std::int64_t b = 0; b < width; ++b) {
        sum += d[static_cast<std::size_t>(b)] * static_cast<double>(args.xtx[b * width + a]);
      }
      args.residual[o * width + a] = static_cast<float>(d[static_cast<std::size_t>(a)]);
      args.product[o * width + a] = static_cast<float>(sum);
    }
  }
  return KernelStatus::kOk;
}

}  // namespace bitsweep::kernels
