#include "worker/kernels/code_search.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/kernels/search_problem.h"
#include "worker/kernels/code_beam_search.h"

namespace bitsweep::kernels {
namespace {

using Problem = SearchProblem;

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

TEST(CodeBeamSearchTest, TakesTheReferencesCodes) {
  int apart = 0;
  int rows = 0;
  for (const int beam : {1, 3, 64}) {
    for (const CodeShape& shape : {CodeShape{.O = 1, .I = 1, .M = 1, .K = 1, .g = 1},
                                   CodeShape{.O = 7, .I = 5, .M = 2, .K = 11, .g = 8},
                                   CodeShape{.O = 13, .I = 6, .M = 3, .K = 4, .g = 3}}) {
      SearchProblem fast(shape, 3);
      SearchProblem plain(shape, 3);
      ASSERT_EQ(CodeBeamSweep(fast.Args(2), beam), KernelStatus::kOk);
      ASSERT_EQ(CodeBeamSweepRef(plain.Args(1), beam), KernelStatus::kOk);
      const std::vector<double> got = fast.Losses();
      const std::vector<double> want = plain.Losses();
      const std::int64_t codes_a_row = shape.I * shape.M;
      for (std::int64_t o = 0; o < shape.O; ++o) {
        const auto* a = fast.codes.data() + o * codes_a_row;
        apart += std::equal(a, a + codes_a_row, plain.codes.data() + o * codes_a_row) ? 0 : 1;
        ++rows;
        EXPECT_NEAR(got[static_cast<std::size_t>(o)],
                    want[static_cast<std::size_t>(o)],
                    0.02 * want[static_cast<std::size_t>(o)] + 1e-4);
      }
    }
  }
  EXPECT_LE(apart, rows / 20) << "near ties may send a row another way";
}

TEST(CodeBeamSearchTest, RoomForEverythingFindsTheBestCodesThereAre) {
  const CodeShape shape{.O = 4, .I = 3, .M = 1, .K = 4, .g = 2};
  SearchProblem found(shape, 5);
  SearchProblem all = found;
  CodeBeamSweep(found.Args(1), 64);
  std::vector<double> lowest(4, 1e30);
  for (int combination = 0; combination < 64; ++combination) {
    for (std::size_t i = 0; i < all.codes.size(); ++i) {
      all.codes[i] = (combination >> (2 * (i % 3))) % 4;
    }
    all.Refresh();
    const std::vector<double> losses = all.Losses();
    for (std::size_t o = 0; o < 4; ++o) {
      lowest[o] = std::min(lowest[o], losses[o]);
    }
  }
  for (std::size_t o = 0; o < 4; ++o) {
    EXPECT_NEAR(found.Losses()[o], lowest[o], 1e-3);
  }
}

TEST(CodeBeamSearchTest, LeavesTrueProductsWhateverTheThreadsAndPanels) {
  // 40 groups of 4,096 entries take several panels.
  for (const CodeShape& shape : {CodeShape{.O = 9, .I = 40, .M = 1, .K = 4096, .g = 8},
                                 CodeShape{.O = 31, .I = 17, .M = 2, .K = 32, .g = 4}}) {
    SearchProblem one(shape, 8);
    SearchProblem two = one;
    SearchProblem narrow = one;
    const std::vector<double> before = one.Losses();
    CodeBeamSweep(one.Args(1), 5);
    CodeBeamSweep(two.Args(2), 5);
    CodeBeamSweep(narrow.Args(1), 1);
    EXPECT_EQ(one.codes, two.codes);
    EXPECT_EQ(one.product, two.product);
    const std::vector<float> residual = one.residual;
    const std::vector<float> product = one.product;
    one.Refresh();
    narrow.Refresh();
    for (std::size_t i = 0; i < product.size(); ++i) {
      ASSERT_NEAR(residual[i], one.residual[i], 1e-4);
      ASSERT_NEAR(product[i], one.product[i], 5e-3);
    }
    double sum = 0.0;
    double of_one = 0.0;
    for (std::size_t o = 0; o < before.size(); ++o) {
      EXPECT_LE(one.Losses()[o], before[o] * (1.0 + 1e-5) + 1e-5);
      sum += one.Losses()[o];
      of_one += narrow.Losses()[o];
    }
    EXPECT_LT(sum, of_one);
  }
}

TEST(CodeBeamSearchTest, RefusesBeamsThatItHasNoRoomFor) {
  SearchProblem problem({.O = 1, .I = 1, .M = 1, .K = 2, .g = 1});
  EXPECT_EQ(CodeBeamSweep(problem.Args(1), 0), KernelStatus::kBadShape);
  EXPECT_EQ(CodeBeamSweep(problem.Args(1), kBeamMax + 1), KernelStatus::kBadShape);
  EXPECT_EQ(CodeBeamSweepRef(problem.Args(1), 0), KernelStatus::kBadShape);
}

}  // namespace
}  // namespace bitsweep::kernels
