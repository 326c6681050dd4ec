#include "worker/kernels/nearest_centroid.h"

#include <gtest/gtest.h>

#include "tests/kernels/random_values.h"
#include "worker/kernels/candidates.h"
#include "worker/kernels/simd.h"

namespace bitsweep::kernels {
namespace {

struct Size {
  std::int64_t points, centroids, group;
};

class NearestCentroidTest : public testing::TestWithParam<Size> {};

double Distance(const NearestCentroidArgs& args, std::int64_t n, std::int32_t k) {
  double sum = 0.0;
  for (std::int64_t d = 0; d < args.group; ++d) {
    const double gap = static_cast<double>(args.x[n * args.group + d]) -
                       static_cast<double>(args.c[k * args.group + d]);
    sum += gap * gap;
  }
  return sum;
}

TEST_P(NearestCentroidTest, ChoosesAsTheReferenceOrTies) {
  const Size size = GetParam();
  const std::vector<float> x = Normals(size.points * size.group, 1);
  const std::vector<float> c = Normals(size.centroids * size.group, 2);
  std::vector<std::int32_t> got(static_cast<std::size_t>(size.points), -1);
  std::vector<std::int32_t> want(got);
  NearestCentroidArgs args{.points = size.points,
                           .centroids = size.centroids,
                           .group = size.group,
                           .x = x.data(),
                           .c = c.data(),
                           .assignment = got.data(),
                           .threads = 2};
  ASSERT_EQ(NearestCentroid(args), KernelStatus::kOk);
  args.assignment = want.data();
  ASSERT_EQ(NearestCentroidRef(args), KernelStatus::kOk);
  std::int64_t different = 0;
  for (std::int64_t n = 0; n < size.points; ++n) {
    const std::int32_t k = got[static_cast<std::size_t>(n)];
    ASSERT_GE(k, 0);
    ASSERT_LT(k, size.centroids);
    const std::int32_t best = want[static_cast<std::size_t>(n)];
    EXPECT_NEAR(Distance(args, n, k), Distance(args, n, best), 1e-5 * 60.0);
    different += k != best ? 1 : 0;
  }
  EXPECT_LE(different, size.points / 1000);
}

// One of everything, primes that leave ragged ends, other group sizes, and gate_proj of sparrow-4m.
INSTANTIATE_TEST_SUITE_P(Sizes,
                         NearestCentroidTest,
                         testing::Values(Size{1, 1, 1},
                                         Size{1, 1, 8},
                                         Size{101, 37, 8},
                                         Size{53, 41, 5},
                                         Size{257, 13, 16},
                                         Size{17024, 256, 8}));

TEST(NearestCentroidTest, TakesTheLowestOfEqualCentroids) {
  const std::vector<float> x(8, 1.0F);
  const std::vector<float> c(40 * 8, 1.0F);
  std::int32_t assignment = -1;
  NearestCentroid({.points = 1,
                   .centroids = 40,
                   .group = 8,
                   .x = x.data(),
                   .c = c.data(),
                   .assignment = &assignment});
  EXPECT_EQ(assignment, 0);
}

TEST(NearestCentroidTest, RefusesSizesThatMakeNoSense) {
  EXPECT_EQ(NearestCentroid({.points = 1, .centroids = 0, .group = 8}), KernelStatus::kBadShape);
  EXPECT_EQ(NearestCentroidRef({.points = 1, .centroids = 0, .group = 8}), KernelStatus::kBadShape);
}

TEST(SimdTest, EveryInstructionSetScoresAlike) {
  constexpr std::int64_t kRows = 37;
  constexpr std::int64_t kCandidates = 83;
  for (const std::int64_t g : {std::int64_t{8}, std::int64_t{3}}) {
    CandidateTable table;
    table.Pack(Normals(kCandidates * g, 5).data(), kCandidates, g);
    std::vector<float> norms = Normals(table.padded, 6);
    std::fill(norms.begin() + kCandidates, norms.end(), kPaddingNorm);
    const std::vector<float> v = Normals(kRows * g, 7);
    std::vector<float> a(kRows, 0.75F);
    a[3] = 0.0F;  // A row whose scale is zero: padding must not win then either.
    std::vector<std::int32_t> want;
    for (const SimdLoops* const* loops = AvailableSimd(); *loops != nullptr; ++loops) {
      std::vector<std::int32_t> best(kRows, -1);
      (*loops)->argmin(kRows,
                       g,
                       table.padded,
                       a.data(),
                       v.data(),
                       norms.data(),
                       table.table.data(),
                       best.data());
      for (const std::int32_t k : best) {
        EXPECT_LT(k, kCandidates) << (*loops)->name;
      }
      if (want.empty()) {
        want = best;
      }
      EXPECT_EQ(best, want) << (*loops)->name;
    }
  }
}

}  // namespace
}  // namespace bitsweep::kernels
