#include "worker/engine/quantize/code_beam_search.h"

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace bitsweep::engine {
namespace {

// A random linear with random codes: D = W - W^ and P = D H follow.
struct SmallLinear {
  SmallLinear(const kernels::CodeShape& shape, unsigned seed) : n(shape), width(n.I * n.g) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const auto draw = [&](std::int64_t count) {
      std::vector<float> values(static_cast<std::size_t>(count));
      std::generate(values.begin(), values.end(), [&] { return normal(random); });
      return values;
    };
    weight = draw(n.O * width);
    codebooks = draw(n.M * n.K * n.g);
    scales = draw(n.O);
    const std::vector<float> x = draw(2 * width * width);
    xtx.resize(static_cast<std::size_t>(width * width));
    for (std::int64_t a = 0; a < width; ++a) {
      for (std::int64_t b = 0; b < width; ++b) {
        for (std::int64_t t = 0; t < 2 * width; ++t) {
          xtx[at(a * width + b)] += x[at(t * width + a)] * x[at(t * width + b)];
        }
      }
    }
    for (std::int64_t i = 0; i < n.O * n.I * n.M; ++i) {
      codes.push_back(static_cast<std::int32_t>(random() % static_cast<unsigned>(n.K)));
    }
    groups.resize(at(n.I));
    std::iota(groups.begin(), groups.end(), 0);
    std::shuffle(groups.begin(), groups.end(), random);
    for (std::int64_t i = 0; i < n.I; ++i) {
      std::vector<std::int32_t> order(at(n.M));
      std::iota(order.begin(), order.end(), 0);
      std::shuffle(order.begin(), order.end(), random);
      books.insert(books.end(), order.begin(), order.end());
    }
    Refresh();
  }

  static std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

  void Refresh() {
    residual = weight;
    for (std::int64_t p = 0; p < n.O * n.I; ++p) {
      for (std::int64_t m = 0; m < n.M; ++m) {
        for (std::int64_t e = 0; e < n.g; ++e) {
          residual[at(p * n.g + e)] -=
              scales[at(p / n.I)] * codebooks[at((m * n.K + codes[at(p * n.M + m)]) * n.g + e)];
        }
      }
    }
    product.assign(residual.size(), 0.0F);
    for (std::int64_t o = 0; o < n.O; ++o) {
      for (std::int64_t a = 0; a < width; ++a) {
        for (std::int64_t b = 0; b < width; ++b) {
          product[at(o * width + b)] += residual[at(o * width + a)] * xtx[at(a * width + b)];
        }
      }
    }
  }

  double Loss(std::int64_t o) const {
    double loss = 0.0;
    for (std::int64_t a = 0; a < width; ++a) {
      loss += static_cast<double>(residual[at(o * width + a)]) * product[at(o * width + a)];
    }
    return loss;
  }

  kernels::CodeSearchArgs Args() {
    return {.shape = n,
            .xtx = xtx.data(),
            .codebooks = codebooks.data(),
            .scales = scales.data(),
            .group_order = groups.data(),
            .codebook_order = books.data(),
            .codes = codes.data(),
            .residual = residual.data(),
            .product = product.data()};
  }

  kernels::CodeShape n;
  std::int64_t width;
  std::vector<float> weight, codebooks, scales, xtx, residual, product;
  std::vector<std::int32_t> codes, groups, books;
};

TEST(CodeBeamSearchTest, OneHypothesisIsTheSearchOfTheKernels) {
  for (const unsigned seed : {1U, 2U, 3U}) {
    SmallLinear plain({.O = 5, .I = 6, .M = 2, .K = 7, .g = 4}, seed);
    SmallLinear beam = plain;
    ASSERT_EQ(kernels::CodeSearchSweepRef(plain.Args()), kernels::KernelStatus::kOk);
    BeamSearchSweep(beam.Args(), 1, at::kCPU);
    EXPECT_EQ(beam.codes, plain.codes);
  }
}

TEST(CodeBeamSearchTest, WithRoomForEverythingFindsTheBestCodesThereAre) {
  const SmallLinear start({.O = 4, .I = 3, .M = 1, .K = 4, .g = 2}, 5);
  SmallLinear found = start;
  BeamSearchSweep(found.Args(), 64, at::kCPU);
  const std::vector<float> kept = found.product;
  found.Refresh();
  for (std::size_t i = 0; i < kept.size(); ++i) {
    EXPECT_NEAR(kept[i], found.product[i], 1e-3) << "P is not that of the codes";
  }
  std::vector<double> lowest(4, 1e30);
  SmallLinear all = start;
  for (int combination = 0; combination < 64; ++combination) {
    for (std::size_t i = 0; i < all.codes.size(); ++i) {
      all.codes[i] = (combination >> (2 * (i % 3))) % 4;
    }
    all.Refresh();
    for (std::int64_t o = 0; o < 4; ++o) {
      lowest[static_cast<std::size_t>(o)] =
          std::min(lowest[static_cast<std::size_t>(o)], all.Loss(o));
    }
  }
  for (std::int64_t o = 0; o < 4; ++o) {
    EXPECT_NEAR(found.Loss(o), lowest[static_cast<std::size_t>(o)], 1e-3);
  }
}

TEST(CodeBeamSearchTest, MoreHypothesesLowerTheLoss) {
  double one = 0.0;
  double eight = 0.0;
  for (unsigned seed = 1; seed <= 6; ++seed) {
    SmallLinear linear({.O = 8, .I = 8, .M = 2, .K = 16, .g = 4}, seed);
    SmallLinear wide = linear;
    BeamSearchSweep(linear.Args(), 1, at::kCPU);
    BeamSearchSweep(wide.Args(), 8, at::kCPU);
    linear.Refresh();
    wide.Refresh();
    for (std::int64_t o = 0; o < 8; ++o) {
      one += linear.Loss(o);
      eight += wide.Loss(o);
    }
  }
  EXPECT_LT(eight, 0.97 * one);
}

}  // namespace
}  // namespace bitsweep::engine
