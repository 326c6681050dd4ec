// Every device op against its reference, on sizes 1, primes, and a real layer's. Labelled gpu;
// where the build or the machine has no Hopper GPU they skip aloud.
#include <cstdio>

#include <gtest/gtest.h>

#if defined(BITSWEEP_CUDA)

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/kernels/on_device.h"
#include "tests/kernels/random_values.h"
#include "worker/kernels/codebook_gradient.h"
#include "worker/kernels/dequantize.h"
#include "worker/kernels/entry_solve.h"
#include "worker/kernels/nearest_centroid.h"

namespace bitsweep::kernels {
namespace {

TEST_F(DeviceOpsTest, DequantizeIsBitEqual) {
  const CodeShape shapes[] = {{.O = 1, .I = 1, .M = 1, .K = 2, .g = 8},
                              {.O = 13, .I = 7, .M = 3, .K = 17, .g = 5},
                              {.O = 512, .I = 86, .M = 2, .K = 4096, .g = 8}};
  for (const CodeShape& n : shapes) {
    const auto codes = Codes(n.O * n.I * n.M, n.K, 1);
    const auto books = Normals(n.M * n.K * n.g, 2);
    const auto scales = Normals(n.O, 3);
    const auto weight = Normals(n.O * n.I * n.g, 4);
    std::vector<float> expected(weight.size());
    DequantizeRef({.shape = n,
                   .codes = codes.data(),
                   .codebooks = books.data(),
                   .scales = scales.data(),
                   .out = expected.data()});
    const OnDevice<std::int32_t> d_codes(codes);
    const OnDevice<float> d_books(books), d_scales(scales), d_weight(weight);
    const OnDevice<float> out(n.O * n.I * n.g);
    const DequantizeArgs args{.shape = n,
                              .codes = d_codes.get(),
                              .codebooks = d_books.get(),
                              .scales = d_scales.get(),
                              .out = out.get()};
    ExpectOk(DequantizeCuda(args, nullptr, nullptr));
    EXPECT_EQ(out.Values(), expected);
    ExpectOk(DequantizeCuda(args, d_weight.get(), nullptr));
    for (std::size_t i = 0; i < expected.size(); ++i) {
      expected[i] = weight[i] - expected[i];
    }
    EXPECT_EQ(out.Values(), expected);
  }
}

double Distance(const float* x, const float* c) {
  double sum = 0.0;
  for (int d = 0; d < 8; ++d) {
    sum += (static_cast<double>(x[d]) - c[d]) * (static_cast<double>(x[d]) - c[d]);
  }
  return sum;
}

TEST_F(DeviceOpsTest, NearestCentroidIsNearestWithinF32Rounding) {
  struct Size {
    std::int64_t points, centroids;
    float scale;  // Of the points: far from 1, halves would overflow or vanish unscaled.
  };
  for (const Size size : {Size{1, 1, 1.0F},
                          Size{1009, 2, 1e-4F},
                          Size{4999, 257, 3e5F},
                          Size{20011, 256, 1.0F},
                          Size{3001, 4099, 0.01F},
                          Size{2003, 32768, 1.0F}}) {
    const auto x = Normals(size.points * 8, 5, size.scale);
    const auto c = Normals(size.centroids * 8, 6, size.scale);
    std::vector<std::int32_t> expected(static_cast<std::size_t>(size.points));
    NearestCentroidRef({.points = size.points,
                        .centroids = size.centroids,
                        .group = 8,
                        .x = x.data(),
                        .c = c.data(),
                        .assignment = expected.data()});
    const OnDevice<float> d_x(x), d_c(c);
    const OnDevice<std::int32_t> assignment(size.points);
    const OnDevice<unsigned char> workspace(NearestCentroidWorkspaceBytes(size.centroids));
    ExpectOk(NearestCentroidCuda({.points = size.points,
                                  .centroids = size.centroids,
                                  .group = 8,
                                  .x = d_x.get(),
                                  .c = d_c.get(),
                                  .assignment = assignment.get()},
                                 workspace.get(),
                                 nullptr));
    const auto found = assignment.Values();
    std::int64_t other = 0;
    for (std::size_t i = 0; i < found.size(); ++i) {
      ASSERT_GE(found[i], 0);
      ASSERT_LT(found[i], size.centroids);
      const float* point = x.data() + i * 8;
      const double best = Distance(point, c.data() + expected[i] * 8);
      const double mine = Distance(point, c.data() + found[i] * 8);
      const double magnitude = size.scale * size.scale * 16.0;
      EXPECT_LE(mine, best + 1e-5 * magnitude) << i;
      other += found[i] != expected[i] ? 1 : 0;
    }
    EXPECT_LE(other, size.points / 1000);
  }
}

TEST_F(DeviceOpsTest, NearestCentroidNamesARealCentroidBesideDuplicatesAndPadding) {
  const auto x = Normals(64 * 8, 7);
  auto c = Normals(300 * 8, 8);
  std::copy_n(c.begin(), 100 * 8, c.begin() + 200 * 8);
  const OnDevice<float> d_x(x), d_c(c);
  const OnDevice<std::int32_t> assignment(64);
  const OnDevice<unsigned char> workspace(NearestCentroidWorkspaceBytes(300));
  ExpectOk(NearestCentroidCuda({.points = 64,
                                .centroids = 300,
                                .group = 8,
                                .x = d_x.get(),
                                .c = d_c.get(),
                                .assignment = assignment.get()},
                               workspace.get(),
                               nullptr));
  for (const std::int32_t found : assignment.Values()) {
    EXPECT_LT(found, 300);
  }
}

const CodeShape kSumShapes[] = {{.O = 1, .I = 1, .M = 1, .K = 2, .g = 8},
                                {.O = 31, .I = 13, .M = 3, .K = 7, .g = 8},
                                {.O = 509, .I = 64, .M = 2, .K = 256, .g = 8},
                                {.O = 512, .I = 128, .M = 1, .K = 32768, .g = 8}};

TEST_F(DeviceOpsTest, CodeIndexEqualsTheHostsAndSumsAgree) {
  for (const CodeShape& n : kSumShapes) {
    const auto codes = Codes(n.O * n.I * n.M, n.K, 9);
    const auto x = Normals(n.O * n.I * 8, 10);
    CodeIndex index;
    index.Build(n, codes.data(), 1);
    std::vector<float> expected(static_cast<std::size_t>(n.M * n.K * 8));
    CodebookGradientRef({.index = &index, .x = x.data(), .out = expected.data()}, codes.data());
    const OnDevice<std::int32_t> d_codes(codes);
    const IndexOnDevice on_device(n, d_codes);
    const auto begins = on_device.begins.Values();
    const auto positions = on_device.positions.Values();
    for (std::int64_t m = 0; m < n.M; ++m) {
      for (std::int64_t k = 0; k <= n.K; ++k) {
        ASSERT_EQ(begins[static_cast<std::size_t>(m * (n.K + 1) + k)], index.Begin(m, k));
      }
      ASSERT_TRUE(std::equal(
          index.Positions(m), index.Positions(m) + n.O * n.I, positions.begin() + m * n.O * n.I));
    }
    const OnDevice<float> d_x(x), out(n.M * n.K * 8);
    ExpectOk(CodebookGradientCuda(on_device.index, d_x.get(), nullptr, out.get(), nullptr));
    const auto sums = out.Values();
    for (std::size_t i = 0; i < sums.size(); ++i) {
      ASSERT_NEAR(sums[i], expected[i], 1e-4 + 1e-5 * std::abs(expected[i])) << i;
    }
  }
}

TEST_F(DeviceOpsTest, EntrySolutionsAgree) {
  for (const CodeShape& n : kSumShapes) {
    const auto codes = Codes(n.O * n.I * n.M, n.K, 11);
    auto scales = Normals(n.O, 12, 0.1F);
    std::vector<float> diagonal;
    for (std::int64_t j = 0; j < n.I; ++j) {
      const auto block = Xtx(8, static_cast<unsigned>(13 + j));
      diagonal.insert(diagonal.end(), block.begin(), block.end());
    }
    const auto r = Normals(n.M * n.K * 8, 14);
    std::vector<float> factors(static_cast<std::size_t>(n.M * n.K * 64));
    std::vector<float> expected(r.size());
    EntryFactorRef({.shape = n,
                    .diagonal = diagonal.data(),
                    .scales = scales.data(),
                    .factors = factors.data()},
                   codes.data());
    EntrySolveRef(n.M * n.K, factors.data(), r.data(), expected.data());
    const OnDevice<std::int32_t> d_codes(codes);
    const IndexOnDevice on_device(n, d_codes);
    const OnDevice<float> d_diagonal(diagonal), d_scales(scales), d_r(r);
    const OnDevice<float> d_factors(n.M * n.K * 64), z(n.M * n.K * 8);
    ExpectOk(EntryFactorCuda({.shape = n,
                              .diagonal = d_diagonal.get(),
                              .scales = d_scales.get(),
                              .factors = d_factors.get()},
                             on_device.index,
                             nullptr));
    ExpectOk(EntrySolveCuda(n.M * n.K, d_factors.get(), d_r.get(), z.get(), nullptr));
    const auto found = z.Values();
    for (std::size_t entry = 0; entry < found.size() / 8; ++entry) {
      double gap = 0.0;
      double size = 0.0;
      for (std::size_t d = entry * 8; d < entry * 8 + 8; ++d) {
        gap += std::pow(static_cast<double>(found[d]) - expected[d], 2);
        size += std::pow(static_cast<double>(expected[d]), 2);
      }
      ASSERT_LE(std::sqrt(gap), 1e-3 * std::sqrt(size)) << entry;
    }
  }
}

}  // namespace
}  // namespace bitsweep::kernels

#else

TEST(DeviceOpsTest, NeedsABuildWithCuda) {
  GTEST_SKIP() << "skipped: built without BITSWEEP_CUDA";
}

#endif
