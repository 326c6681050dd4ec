#include <array>
#include <vector>

#include "worker/kernels/code_search_panel.h"

namespace bitsweep::kernels {
namespace {

using Group = std::array<double, 8>;

// One row's walk through the panel.
class Row {
 public:
  Row(const CodeSearchPanelArgs& args, std::int64_t row)
      : a_(args), row_(row), width_(args.shape.I * 8) {
    for (std::int64_t p = 0; p < a_.groups; ++p) {
      for (std::int64_t d = 0; d < 8; ++d) {
        product_.push_back(a_.product[row * width_ + a_.group_order[p] * 8 + d]);
      }
    }
    changes_.assign(product_.size(), 0.0);
  }

  void Run() {
    for (std::int64_t p = 0; p < a_.groups; ++p) {
      for (std::int64_t step = 0; step < a_.shape.M; ++step) {
        Choose(p, a_.codebook_order[p * a_.shape.M + step]);
      }
    }
    for (std::int64_t c = 0; c < kPanelColumns; ++c) {
      a_.changes[row_ * kPanelColumns + c] =
          c < a_.groups * 8 ? static_cast<float>(changes_[static_cast<std::size_t>(c)]) : 0.0F;
    }
  }

 private:
  double H(std::int64_t p, std::int64_t d, std::int64_t q, std::int64_t e) const {
    return a_.xtx_rows[(p * 8 + d) * width_ + a_.group_order[q] * 8 + e];
  }
  double Entry(std::int64_t m, std::int64_t k, std::int64_t d) const {
    return a_.codebooks[(m * a_.shape.K + k) * 8 + d];
  }

  // scores of candidate k against v.
  double Score(std::int64_t p, std::int64_t m, std::int64_t k, const Group& v) const {
    double score = 0.0;
    for (std::int64_t d = 0; d < 8; ++d) {
      for (std::int64_t e = 0; e < 8; ++e) {
        score += Entry(m, k, d) * H(p, d, p, e) * Entry(m, k, e);
      }
      score -= Entry(m, k, d) * v[static_cast<std::size_t>(d)];
    }
    return score;
  }

  void Choose(std::int64_t p, std::int64_t m) {
    const double scale = a_.scales[row_];
    std::int32_t& code = a_.codes[(row_ * a_.shape.I + a_.group_order[p]) * a_.shape.M + m];
    if (scale == 0.0) {
      return;
    }
    Group v{};
    for (std::int64_t d = 0; d < 8; ++d) {
      double own = 0.0;
      for (std::int64_t e = 0; e < 8; ++e) {
        own += Entry(m, code, e) * H(p, e, p, d);
      }
      v[static_cast<std::size_t>(d)] =
          2.0 * (product_[static_cast<std::size_t>(p * 8 + d)] / scale + own);
    }
    std::int32_t best = 0;
    double lowest = Score(p, m, 0, v);
    for (std::int64_t k = 1; k < a_.shape.K; ++k) {
      const double score = Score(p, m, k, v);
      if (score < lowest) {
        lowest = score;
        best = static_cast<std::int32_t>(k);
      }
    }
    for (std::int64_t d = 0; d < 8; ++d) {
      const double change = scale * (Entry(m, code, d) - Entry(m, best, d));
      changes_[static_cast<std::size_t>(p * 8 + d)] += change;
      for (std::int64_t c = 0; c < a_.groups * 8; ++c) {
        product_[static_cast<std::size_t>(c)] += change * H(p, d, c / 8, c % 8);
      }
    }
    code = best;
  }

  const CodeSearchPanelArgs& a_;
  const std::int64_t row_;
  const std::int64_t width_;
  std::vector<double> product_;  // P at the panel's columns, kept up to date
  std::vector<double> changes_;
};

}  // namespace

KernelStatus CodeSearchPanelRef(const CodeSearchPanelArgs& args) {
  if (!args.shape.Valid() || args.shape.g != 8 || args.groups < 1 || args.groups > kPanelGroups) {
    return KernelStatus::kBadShape;
  }
  for (std::int64_t row = 0; row < args.shape.O; ++row) {
    Row(args, row).Run();
  }
  return KernelStatus::kOk;
}

}  // namespace bitsweep::kernels
