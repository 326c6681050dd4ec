#include <algorithm>
#include <cstddef>
#include <vector>

#include "worker/kernels/code_beam_search.h"

namespace bitsweep::kernels {
namespace {

struct Hypothesis {
  std::vector<double> d;            // D of the row
  std::vector<std::int32_t> codes;  // [I, M]
  double loss = 0.0;
};

double LossOf(const std::vector<double>& d, const float* h) {
  double loss = 0.0;
  for (std::size_t a = 0; a < d.size(); ++a) {
    for (std::size_t b = 0; b < d.size(); ++b) {
      loss += d[a] * static_cast<double>(h[a * d.size() + b]) * d[b];
    }
  }
  return loss;
}

// `from` with entry k of codebook m at group j.
Hypothesis Exchanged(const CodeSearchArgs& args,
                     const Hypothesis& from,
                     float scale,
                     std::int64_t j,
                     std::int64_t m,
                     std::int64_t k) {
  const CodeShape& n = args.shape;
  Hypothesis out = from;
  std::int32_t& code = out.codes[static_cast<std::size_t>(j * n.M + m)];
  const float* books = args.codebooks + m * n.K * n.g;
  for (std::int64_t e = 0; e < n.g; ++e) {
    out.d[static_cast<std::size_t>(j * n.g + e)] +=
        static_cast<double>(scale) *
        (static_cast<double>(books[code * n.g + e]) - static_cast<double>(books[k * n.g + e]));
  }
  code = static_cast<std::int32_t>(k);
  out.loss = LossOf(out.d, args.xtx);
  return out;
}

}  // namespace

KernelStatus CodeBeamSweepRef(const CodeSearchArgs& args, int beam) {
  const CodeShape& n = args.shape;
  if (!n.Valid() || beam < 1 || beam > kBeamMax) {
    return KernelStatus::kBadShape;
  }
  const std::int64_t width = n.I * n.g;
  for (std::int64_t o = 0; o < n.O; ++o) {
    float* residual = args.residual + o * width;
    std::int32_t* codes = args.codes + o * n.I * n.M;
    std::vector<Hypothesis> kept(1);
    kept[0].d.assign(residual, residual + width);
    kept[0].codes.assign(codes, codes + n.I * n.M);
    for (std::int64_t i = 0; i < n.I * n.M; ++i) {
      std::vector<Hypothesis> all;
      for (const Hypothesis& from : kept) {
        for (std::int64_t k = 0; k < n.K; ++k) {
          all.push_back(Exchanged(
              args, from, args.scales[o], args.group_order[i / n.M], args.codebook_order[i], k));
        }
      }
      std::stable_sort(all.begin(), all.end(), [](const Hypothesis& a, const Hypothesis& b) {
        return a.loss < b.loss;
      });
      all.resize(std::min<std::size_t>(all.size(), static_cast<std::size_t>(beam)));
      kept = std::move(all);
    }
    std::copy(kept[0].codes.begin(), kept[0].codes.end(), codes);
    for (std::int64_t a = 0; a < width; ++a) {
      double sum = 0.0;
      for (std::int64_t b = 0; b < width; ++b) {
        sum += kept[0].d[static_cast<std::size_t>(b)] * static_cast<double>(args.xtx[b * width + a]);
      }
      residual[a] = static_cast<float>(kept[0].d[static_cast<std::size_t>(a)]);
      args.product[o * width + a] = static_cast<float>(sum);
    }
  }
  return KernelStatus::kOk;
}

}  // namespace bitsweep::kernels
