#include <cmath>

#include <gtest/gtest.h>

#include "tests/kernels/random_values.h"
#include "worker/kernels/codebook_gradient.h"
#include "worker/kernels/dequantize.h"

namespace bitsweep::kernels {
namespace {

class CodesTest : public testing::TestWithParam<CodeShape> {
 protected:
  const CodeShape n_ = GetParam();
  const std::vector<std::int32_t> codes_ = Codes(n_.O * n_.I * n_.M, n_.K, 1);
};

TEST_P(CodesTest, DequantizeEqualsTheReferenceToTheBit) {
  const std::vector<float> codebooks = Normals(n_.M * n_.K * n_.g, 2);
  const std::vector<float> scales = Normals(n_.O, 3);
  std::vector<float> got(static_cast<std::size_t>(n_.O * n_.I * n_.g));
  std::vector<float> want(got);
  DequantizeArgs args{.shape = n_,
                      .codes = codes_.data(),
                      .codebooks = codebooks.data(),
                      .scales = scales.data(),
                      .out = got.data(),
                      .threads = 2};
  ASSERT_EQ(Dequantize(args), KernelStatus::kOk);
  args.out = want.data();
  ASSERT_EQ(DequantizeRef(args), KernelStatus::kOk);
  EXPECT_EQ(got, want);
}

TEST_P(CodesTest, GradientAgreesWithTheReference) {
  const std::vector<float> x = Normals(n_.O * n_.I * n_.g, 4);
  CodeIndex index;
  index.Build(n_, codes_.data(), 2);
  std::vector<float> got(static_cast<std::size_t>(n_.M * n_.K * n_.g), -1.0F);
  std::vector<float> want(got);
  CodebookGradientArgs args{.index = &index, .x = x.data(), .out = got.data(), .threads = 2};
  ASSERT_EQ(CodebookGradient(args), KernelStatus::kOk);
  args.out = want.data();
  ASSERT_EQ(CodebookGradientRef(args, codes_.data()), KernelStatus::kOk);
  for (std::int64_t m = 0; m < n_.M; ++m) {
    for (std::int64_t k = 0; k < n_.K; ++k) {
      const auto count = static_cast<double>(index.Count(m, k));
      for (std::int64_t d = 0; d < n_.g; ++d) {
        const auto at = static_cast<std::size_t>((m * n_.K + k) * n_.g + d);
        ASSERT_NEAR(got[at], want[at], 1e-6 * (count * std::sqrt(count) + 1.0));
      }
    }
  }
}

TEST_P(CodesTest, IndexNamesEveryPositionOnceAscending) {
  CodeIndex index;
  index.Build(n_, codes_.data(), 1);
  for (std::int64_t m = 0; m < n_.M; ++m) {
    std::vector<bool> seen(static_cast<std::size_t>(n_.O * n_.I));
    for (std::int64_t k = 0; k < n_.K; ++k) {
      for (std::int64_t i = index.Begin(m, k); i < index.Begin(m, k + 1); ++i) {
        const std::int32_t position = index.Positions(m)[i];
        EXPECT_EQ(codes_[static_cast<std::size_t>(position * n_.M + m)], k);
        EXPECT_TRUE(i == index.Begin(m, k) || index.Positions(m)[i - 1] < position);
        EXPECT_FALSE(seen[static_cast<std::size_t>(position)]);
        seen[static_cast<std::size_t>(position)] = true;
      }
    }
    EXPECT_EQ(std::count(seen.begin(), seen.end(), true), n_.O * n_.I);
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes,
                         CodesTest,
                         testing::Values(CodeShape{1, 1, 1, 1, 1},
                                         CodeShape{7, 5, 3, 13, 8},
                                         CodeShape{7, 5, 3, 13, 4},
                                         CodeShape{608, 28, 2, 256, 8}));

TEST(CodesTest, RefusesEmptyShapes) {
  EXPECT_EQ(Dequantize({}), KernelStatus::kBadShape);
  EXPECT_EQ(DequantizeRef({}), KernelStatus::kBadShape);
}

}  // namespace
}  // namespace bitsweep::kernels
