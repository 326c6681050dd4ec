#include <cmath>
#include <numeric>

#include "worker/engine/quantize/codebook_update.h"
#include "worker/kernels/codebook_gradient.h"
#include "worker/kernels/parallel.h"

namespace bitsweep::engine {
namespace {

// Added to a block's diagonal, relative to its mean: entries that few groups use have
// rank-deficient blocks.
constexpr double kDamping = 1e-4;

double Dot(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  }
  return sum;
}

// The inverse of each entry's own g x g block of the normal equations, sum s_o^2 H_jj over the
// groups that use it.
class Preconditioner {
 public:
  Preconditioner(const LinearState& state, const kernels::CodeIndex& index) : g_(state.shape.g) {
    const kernels::CodeShape& n = state.shape;
    factors_.resize(static_cast<std::size_t>(n.M * n.K * g_ * g_));
    kernels::ParallelFor(n.M * n.K, 32, state.threads, [&](std::int64_t begin, std::int64_t end) {
      std::vector<float> weights(static_cast<std::size_t>(n.I));
      for (std::int64_t entry = begin; entry < end; ++entry) {
        Factor(state, index, entry, weights);
      }
    });
  }

  // out = B^-1 in, entry by entry; zero where no group uses the entry.
  void Apply(const std::vector<float>& in, std::vector<float>* out, int threads) const {
    const auto entries = static_cast<std::int64_t>(in.size()) / g_;
    kernels::ParallelFor(entries, 256, threads, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t entry = begin; entry < end; ++entry) {
        Solve(factors_.data() + entry * g_ * g_, in.data() + entry * g_, out->data() + entry * g_);
      }
    });
  }

 private:
  // Cholesky factor of the damped block, lower triangle; the diagonal holds reciprocals, all zero
  // marks an unused entry.
  void Factor(const LinearState& state,
              const kernels::CodeIndex& index,
              std::int64_t entry,
              std::vector<float>& weights) {
    const kernels::CodeShape& n = state.shape;
    const std::int64_t m = entry / n.K;
    const std::int64_t k = entry % n.K;
    float* factor = factors_.data() + entry * g_ * g_;
    if (index.Count(m, k) == 0) {
      return;
    }
    weights.assign(weights.size(), 0.0F);
    for (std::int64_t i = index.Begin(m, k); i < index.Begin(m, k + 1); ++i) {
      const std::int32_t position = index.Positions(m)[i];
      const float scale = state.scales[static_cast<std::size_t>(position / n.I)];
      weights[static_cast<std::size_t>(position % n.I)] += scale * scale;
    }
    const std::int64_t width = state.width();
    for (std::int64_t j = 0; j < n.I; ++j) {
      const float weight = weights[static_cast<std::size_t>(j)];
      for (std::int64_t a = 0; weight != 0.0F && a < g_; ++a) {
        const float* row = state.problem.xtx + (j * g_ + a) * width + j * g_;
        for (std::int64_t b = 0; b < g_; ++b) {
          factor[a * g_ + b] += weight * row[b];
        }
      }
    }
    Cholesky(factor);
  }

  void Cholesky(float* a) const {
    double trace = 0.0;
    for (std::int64_t d = 0; d < g_; ++d) {
      trace += a[d * g_ + d];
    }
    const double damping = kDamping * trace / static_cast<double>(g_) + 1e-30;
    for (std::int64_t c = 0; c < g_; ++c) {
      double diagonal = a[c * g_ + c] + damping;
      for (std::int64_t k = 0; k < c; ++k) {
        diagonal -= static_cast<double>(a[c * g_ + k]) * static_cast<double>(a[c * g_ + k]);
      }
      const double inverse = 1.0 / std::sqrt(std::max(diagonal, damping));
      for (std::int64_t r = c + 1; r < g_; ++r) {
        double value = a[r * g_ + c];
        for (std::int64_t k = 0; k < c; ++k) {
          value -= static_cast<double>(a[r * g_ + k]) * static_cast<double>(a[c * g_ + k]);
        }
        a[r * g_ + c] = static_cast<float>(value * inverse);
      }
      a[c * g_ + c] = static_cast<float>(inverse);
    }
  }

  void Solve(const float* factor, const float* in, float* out) const {
    for (std::int64_t r = 0; r < g_; ++r) {
      float value = in[r];
      for (std::int64_t k = 0; k < r; ++k) {
        value -= factor[r * g_ + k] * out[k];
      }
      out[r] = value * factor[r * g_ + r];
    }
    for (std::int64_t r = g_ - 1; r >= 0; --r) {
      float value = out[r];
      for (std::int64_t k = r + 1; k < g_; ++k) {
        value -= factor[k * g_ + r] * out[k];
      }
      out[r] = value * factor[r * g_ + r];
    }
  }

  std::int64_t g_;
  std::vector<float> factors_;  // [M*K, g, g]
};

// out[m, k] = sum over its groups of s_o P[o, j]: half the negative gradient, up to 1/O.
void Descent(const LinearState& state,
             const kernels::CodeIndex& index,
             std::vector<float>& scaled,
             std::vector<float>* out) {
  const std::int64_t width = state.width();
  kernels::ParallelFor(state.shape.O, 16, state.threads, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t o = begin; o < end; ++o) {
      const float scale = state.scales[static_cast<std::size_t>(o)];
      for (std::int64_t i = o * width; i < (o + 1) * width; ++i) {
        scaled[static_cast<std::size_t>(i)] = scale * state.product[static_cast<std::size_t>(i)];
      }
    }
  });
  kernels::CodebookGradient(
      {.index = &index, .x = scaled.data(), .out = out->data(), .threads = state.threads});
}

void Subtract(const std::vector<float>& x, float factor, std::vector<float>* y, int threads) {
  kernels::ParallelFor(static_cast<std::int64_t>(x.size()),
                       4096,
                       threads,
                       [&](std::int64_t begin, std::int64_t end) {
                         for (std::int64_t i = begin; i < end; ++i) {
                           (*y)[static_cast<std::size_t>(i)] -=
                               factor * x[static_cast<std::size_t>(i)];
                         }
                       });
}

// s_o <- s_o <(W H)_o, W^_o> / <(W^ H)_o, W^_o>; W^ and its product follow from D and P without
// another product.
void OptimalScales(LinearState& state,
                   std::vector<float>& decoded,
                   std::vector<float>& decoded_product) {
  const std::int64_t width = state.width();
  for (std::size_t i = 0; i < decoded.size(); ++i) {
    decoded[i] = state.problem.weight[i] - state.residual[i];
    decoded_product[i] = state.weight_product[i] - state.product[i];
  }
  std::vector<double> with_weight;
  std::vector<double> with_itself;
  state.RowDots(state.weight_product.data(), decoded.data(), &with_weight);
  state.RowDots(decoded_product.data(), decoded.data(), &with_itself);
  for (std::int64_t o = 0; o < state.shape.O; ++o) {
    const auto at = static_cast<std::size_t>(o);
    // A row that decodes to (almost) nothing under H keeps its scale, and a scale never changes its
    // sign.
    if (with_itself[at] <= 0.0 || with_weight[at] <= 0.0) {
      continue;
    }
    const auto ratio = static_cast<float>(with_weight[at] / with_itself[at]);
    state.scales[at] *= ratio;
    for (std::int64_t i = o * width; i < (o + 1) * width; ++i) {
      const auto n = static_cast<std::size_t>(i);
      state.residual[n] = state.problem.weight[i] - ratio * decoded[n];
      state.product[n] = state.weight_product[n] - ratio * decoded_product[n];
    }
  }
}

}  // namespace

void LeastSquaresUpdate(LinearState& state, int steps) {
  kernels::CodeIndex index;
  index.Build(state.shape, state.codes.data(), state.threads);
  const Preconditioner preconditioner(state, index);
  const std::size_t entries = state.codebooks.size();
  std::vector<float> descent(entries);      // r
  std::vector<float> conditioned(entries);  // z = B^-1 r
  std::vector<float> direction(entries, 0.0F);
  std::vector<float> moved(state.residual.size());          // decode(direction)
  std::vector<float> moved_product(state.residual.size());  // and times H; also scratch
  std::vector<double> dots;
  double last = 0.0;
  for (int step = 0; step < steps; ++step) {
    Descent(state, index, moved_product, &descent);
    preconditioner.Apply(descent, &conditioned, state.threads);
    const double now = Dot(descent, conditioned);
    const auto beta = static_cast<float>(last > 0.0 ? now / last : 0.0);
    last = now;
    for (std::size_t i = 0; i < entries; ++i) {
      direction[i] = conditioned[i] + beta * direction[i];
    }
    state.Decode(direction.data(), moved.data());
    state.TimesXtx(moved.data(), moved_product.data());
    state.RowDots(moved.data(), moved_product.data(), &dots);
    const double curvature = std::accumulate(dots.begin(), dots.end(), 0.0);
    if (!(now > 0.0) || !(curvature > 0.0)) {
      break;
    }
    const double length = now / curvature;
    for (std::size_t i = 0; i < entries; ++i) {
      state.codebooks[i] += static_cast<float>(length) * direction[i];
    }
    Subtract(moved, static_cast<float>(length), &state.residual, state.threads);
    Subtract(moved_product, static_cast<float>(length), &state.product, state.threads);
  }
  OptimalScales(state, moved, moved_product);
}

}  // namespace bitsweep::engine
