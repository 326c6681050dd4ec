#include "worker/kernels/code_search.h"

#include <algorithm>
#include <numeric>

#include <gtest/gtest.h>

#include "tests/kernels/random_values.h"
#include "worker/kernels/matmul.h"
#include "worker/kernels/row_dots.h"

namespace bitsweep::kernels {
namespace {

// A linear with random weights, codes and codebooks, and D and P that belong to them.
struct Problem {
  explicit Problem(const CodeShape& shape, unsigned seed = 1) : n(shape) {
    const std::int64_t width = n.I * n.g;
    h = Xtx(width, seed);
    codebooks = Normals(n.M * n.K * n.g, seed + 1, 0.5F);
    codes = Codes(n.O * n.I * n.M, n.K, seed + 2);
    scales = Normals(n.O, seed + 3, 0.1F);
    for (float& scale : scales) {
      scale += 1.0F;
    }
    weight = Normals(n.O * width, seed + 4);
    packed.Pack(h.data(), width, width, width);
    std::mt19937 engine(seed);
    groups.resize(static_cast<std::size_t>(n.I));
    std::iota(groups.begin(), groups.end(), 0);
    std::shuffle(groups.begin(), groups.end(), engine);
    for (std::int64_t i = 0; i < n.I; ++i) {
      std::vector<std::int32_t> books(static_cast<std::size_t>(n.M));
      std::iota(books.begin(), books.end(), 0);
      std::shuffle(books.begin(), books.end(), engine);
      order.insert(order.end(), books.begin(), books.end());
    }
    Refresh();
  }

  void Refresh() {
    residual.resize(weight.size());
    product.resize(weight.size());
    DequantizeRef({.shape = n,
                   .codes = codes.data(),
                   .codebooks = codebooks.data(),
                   .scales = scales.data(),
                   .out = residual.data()});
    for (std::size_t i = 0; i < weight.size(); ++i) {
      residual[i] = weight[i] - residual[i];
    }
    const std::int64_t width = n.I * n.g;
    MatmulRef({.rows = n.O,
               .a = residual.data(),
               .lda = width,
               .b = &packed,
               .c = product.data(),
               .ldc = width});
  }

  std::vector<double> Losses() const {
    std::vector<double> losses(static_cast<std::size_t>(n.O));
    RowDotsRef({.rows = n.O,
                .columns = n.I * n.g,
                .a = residual.data(),
                .b = product.data(),
                .out = losses.data()});
    return losses;
  }

  CodeSearchArgs Args(int threads) {
    return {.shape = n,
            .xtx = h.data(),
            .codebooks = codebooks.data(),
            .scales = scales.data(),
            .group_order = groups.data(),
            .codebook_order = order.data(),
            .codes = codes.data(),
            .residual = residual.data(),
            .product = product.data(),
            .threads = threads};
  }

  CodeShape n;
  std::vector<float> h, codebooks, scales, weight, residual, product;
  std::vector<std::int32_t> codes, groups, order;
  PackedMatrix packed;
};

class CodeSearchTest : public testing::TestWithParam<CodeShape> {};

TEST_P(CodeSearchTest, TakesTheReferencesCodes) {
  Problem fast(GetParam());
  Problem plain(GetParam());
  ASSERT_EQ(CodeSearchSweep(fast.Args(2)), KernelStatus::kOk);
  ASSERT_EQ(CodeSearchSweepRef(plain.Args(1)), KernelStatus::kOk);
  // A near tie may send one row another way; its loss is then as good.
  const std::int64_t codes_a_row = fast.n.I * fast.n.M;
  std::int64_t rows_apart = 0;
  const std::vector<double> got = fast.Losses();
  const std::vector<double> want = plain.Losses();
  for (std::int64_t o = 0; o < fast.n.O; ++o) {
    const auto* a = fast.codes.data() + o * codes_a_row;
    const auto* b = plain.codes.data() + o * codes_a_row;
    rows_apart += std::equal(a, a + codes_a_row, b) ? 0 : 1;
    EXPECT_NEAR(got[static_cast<std::size_t>(o)],
                want[static_cast<std::size_t>(o)],
                0.05 * want[static_cast<std::size_t>(o)] + 1e-5);
  }
  EXPECT_LE(rows_apart, fast.n.O / 20);
}

TEST_P(CodeSearchTest, NeverIncreasesARowsLossAndLeavesItsProductsTrue) {
  Problem problem(GetParam(), 9);
  std::vector<double> before = problem.Losses();
  for (int sweep = 0; sweep < 3; ++sweep) {
    CodeSearchSweep(problem.Args(2));
    const std::vector<float> kept_residual = problem.residual;
    const std::vector<float> kept_product = problem.product;
    problem.Refresh();
    for (std::size_t i = 0; i < kept_residual.size(); ++i) {
      ASSERT_NEAR(kept_residual[i], problem.residual[i], 1e-5);
      ASSERT_NEAR(kept_product[i], problem.product[i], 2e-3);
    }
    const std::vector<double> after = problem.Losses();
    for (std::size_t o = 0; o < after.size(); ++o) {
      EXPECT_LE(after[o], before[o] * (1.0 + 1e-5) + 1e-5) << "row " << o << " sweep " << sweep;
    }
    before = after;
  }
}

TEST_P(CodeSearchTest, GivesTheSameBitsForAnyNumberOfThreads) {
  Problem one(GetParam());
  Problem three(GetParam());
  CodeSearchSweep(one.Args(1));
  CodeSearchSweep(three.Args(3));
  EXPECT_EQ(one.codes, three.codes);
  EXPECT_EQ(one.residual, three.residual);
  EXPECT_EQ(one.product, three.product);
}

// One of everything; primes, several panels of groups; a group size other than 8; many codebooks.
INSTANTIATE_TEST_SUITE_P(Sizes,
                         CodeSearchTest,
                         testing::Values(CodeShape{1, 1, 1, 1, 1},
                                         CodeShape{3, 1, 2, 16, 8},
                                         CodeShape{29, 19, 2, 11, 8},
                                         CodeShape{31, 5, 3, 17, 4},
                                         CodeShape{26, 4, 8, 16, 8}));

TEST(CodeSearchRealLayerTest, LowersTheLossOfARealLayersSize) {
  Problem problem({.O = 224, .I = 76, .M = 2, .K = 256, .g = 8});  // down_proj of sparrow-4m
  const std::vector<double> before = problem.Losses();
  CodeSearchSweep(problem.Args(2));
  const std::vector<double> after = problem.Losses();
  EXPECT_LT(std::accumulate(after.begin(), after.end(), 0.0),
            0.7 * std::accumulate(before.begin(), before.end(), 0.0));
}

TEST(CodeSearchRealLayerTest, RefusesEmptyShapes) {
  EXPECT_EQ(CodeSearchSweep({}), KernelStatus::kBadShape);
  EXPECT_EQ(CodeSearchSweepRef({}), KernelStatus::kBadShape);
}

}  // namespace
}  // namespace bitsweep::kernels
