// Every device op against its reference, on sizes 1, primes, and a real layer's. Labelled gpu;
// where the build or the machine has no Hopper GPU they skip aloud.
#include <cstdio>

#include <gtest/gtest.h>

#if defined(BITSWEEP_CUDA)

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include <cuda_runtime.h>

#include "tests/kernels/random_values.h"
#include "worker/kernels/code_mixture.h"
#include "worker/kernels/code_search_panel.h"
#include "worker/kernels/codebook_gradient.h"
#include "worker/kernels/dequantize.h"
#include "worker/kernels/device.h"
#include "worker/kernels/entry_solve.h"
#include "worker/kernels/nearest_centroid.h"

namespace bitsweep::kernels {
namespace {

// A vector's copy in device memory.
template <typename T>
class OnDevice {
 public:
  explicit OnDevice(const std::vector<T>& values) : size_(values.size()) {
    EXPECT_EQ(cudaMalloc(&data_, std::max<std::size_t>(size_ * sizeof(T), 1)), cudaSuccess);
    EXPECT_EQ(cudaMemcpy(data_, values.data(), size_ * sizeof(T), cudaMemcpyHostToDevice),
              cudaSuccess);
  }
  explicit OnDevice(std::int64_t size, unsigned char poison = 0xff)
      : size_(static_cast<std::size_t>(size)) {
    EXPECT_EQ(cudaMalloc(&data_, std::max<std::size_t>(size_ * sizeof(T), 1)), cudaSuccess);
    EXPECT_EQ(cudaMemset(data_, poison, size_ * sizeof(T)), cudaSuccess);
  }
  ~OnDevice() { cudaFree(data_); }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

  T* get() const { return data_; }
  std::vector<T> Values() const {
    std::vector<T> values(size_);
    EXPECT_EQ(cudaMemcpy(values.data(), data_, size_ * sizeof(T), cudaMemcpyDeviceToHost),
              cudaSuccess);
    return values;
  }

 private:
  T* data_ = nullptr;
  std::size_t size_;
};

class DeviceOpsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!DeviceSupported()) {
      GTEST_SKIP() << "skipped: no GPU of compute capability 9.0";
    }
  }
};

void ExpectOk(KernelStatus status) {
  EXPECT_EQ(status, KernelStatus::kOk) << LastDeviceError();
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
}

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

struct IndexOnDevice {
  IndexOnDevice(const CodeShape& n, const OnDevice<std::int32_t>& codes)
      : begins(n.M * (n.K + 1)), positions(n.M * n.O * n.I), workspace(CodeIndexWorkspaceBytes(n)) {
    index = {.shape = n, .begins = begins.get(), .positions = positions.get()};
    ExpectOk(BuildCodeIndexCuda(index, codes.get(), workspace.get(), nullptr));
  }
  OnDevice<std::int32_t> begins, positions;
  OnDevice<unsigned char> workspace;
  DeviceCodeIndex index;
};

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

TEST_F(DeviceOpsTest, SharesOfOneRowOfXAreSummed) {
  const CodeShape n = {.O = 331 * 5, .I = 1, .M = 2, .K = 13, .g = 8};
  const auto codes = Codes(n.O * n.M, n.K, 50);
  const auto x = Normals(331 * 8, 51);
  const auto scales = Normals(n.O, 52);
  std::vector<float> spread(static_cast<std::size_t>(n.O * 8));
  for (std::size_t i = 0; i < spread.size(); ++i) {
    spread[i] = scales[i / 8] * x[i / 40 * 8 + i % 8];
  }
  CodeIndex index;
  index.Build(n, codes.data(), 1);
  std::vector<float> expected(static_cast<std::size_t>(n.M * n.K * 8));
  CodebookGradientRef({.index = &index, .x = spread.data(), .out = expected.data()}, codes.data());
  const OnDevice<std::int32_t> d_codes(codes);
  IndexOnDevice on_device(n, d_codes);
  const OnDevice<float> d_x(x), d_scales(scales), out(n.M * n.K * 8);
  on_device.index.copies = 5;
  ExpectOk(CodebookGradientCuda(on_device.index, d_x.get(), d_scales.get(), out.get(), nullptr));
  const auto sums = out.Values();
  for (std::size_t i = 0; i < sums.size(); ++i) {
    ASSERT_NEAR(sums[i], expected[i], 1e-4 + 1e-5 * std::abs(expected[i])) << i;
  }
  on_device.index.copies = 2;
  EXPECT_EQ(CodebookGradientCuda(on_device.index, d_x.get(), nullptr, out.get(), nullptr),
            KernelStatus::kBadShape);
}

TEST_F(DeviceOpsTest, MixturesAndTheirGradientsAgree) {
  struct Case {
    CodeShape n;
    std::int64_t T;
    float temperature;
  };
  for (const Case& of : {Case{{.O = 1, .I = 1, .M = 1, .K = 2, .g = 8}, 1, 1.0F},
                         Case{{.O = 13, .I = 7, .M = 3, .K = 17, .g = 8}, 5, 0.3F},
                         Case{{.O = 31, .I = 11, .M = 2, .K = 256, .g = 8}, 19, 0.05F},
                         Case{{.O = 512, .I = 128, .M = 2, .K = 256, .g = 8}, 8, 0.7F}}) {
    const CodeShape& n = of.n;
    const std::int64_t groups = n.O * n.I;
    const auto alternatives = Codes(groups * of.T * n.M, n.K, 60);
    const auto logits = Normals(groups * of.T, 61, 3.0F);
    const auto books = Normals(n.M * n.K * 8, 62);
    auto scales = Normals(n.O, 63);
    scales[0] = n.O > 1 ? 0.0F : scales[0];
    const auto slope = Normals(groups * 8, 64);
    std::vector<float> weight(slope.size()), shares(logits.size()), dots(slope.size() / 8);
    std::vector<float> pulled(logits.size());
    CodeMixture mixture = {.shape = n,
                           .T = of.T,
                           .alternatives = alternatives.data(),
                           .logits = logits.data(),
                           .temperature = of.temperature,
                           .codebooks = books.data(),
                           .scales = scales.data()};
    MixCodesRef(mixture, weight.data());
    PullMixtureRef(mixture,
                   slope.data(),
                   {.entry_scales = shares.data(), .dots = dots.data(), .logits = pulled.data()});
    const OnDevice<std::int32_t> d_alternatives(alternatives);
    const OnDevice<float> d_logits(logits), d_books(books), d_scales(scales), d_slope(slope);
    const OnDevice<float> d_weight(groups * 8), d_shares(groups * of.T), d_dots(groups);
    const OnDevice<float> d_pulled(groups * of.T);
    mixture.alternatives = d_alternatives.get();
    mixture.logits = d_logits.get();
    mixture.codebooks = d_books.get();
    mixture.scales = d_scales.get();
    ExpectOk(MixCodesCuda(mixture, d_weight.get(), nullptr));
    ExpectOk(PullMixtureCuda(
        mixture,
        d_slope.get(),
        {.entry_scales = d_shares.get(), .dots = d_dots.get(), .logits = d_pulled.get()},
        nullptr));
    const auto expect_near = [](const std::vector<float>& got,
                                const std::vector<float>& want,
                                double allowed,
                                const char* what) {
      for (std::size_t i = 0; i < got.size(); ++i) {
        ASSERT_NEAR(got[i], want[i], allowed) << what << " " << i;
      }
    };
    const double m = static_cast<double>(n.M);
    expect_near(d_weight.Values(), weight, 2e-4 * m, "weights");
    expect_near(d_shares.Values(), shares, 1e-4, "entry scales");
    expect_near(d_dots.Values(), dots, 1e-3 * m, "dots");
    expect_near(d_pulled.Values(), pulled, 4e-3 * m / of.temperature, "logits");
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

// A linear in the middle of a search, with P that belongs to random codes.
struct PanelProblem {
  explicit PanelProblem(const CodeShape& shape, unsigned seed) : n(shape) {
    const std::int64_t width = n.I * 8;
    h = Xtx(width, seed);
    codebooks = Normals(n.M * n.K * 8, seed + 1, 0.5F);
    codes = Codes(n.O * n.I * n.M, n.K, seed + 2);
    scales = Normals(n.O, seed + 3, 0.1F);
    for (float& scale : scales) {
      scale += 1.0F;
    }
    if (n.O > 2) {
      scales[1] = 0.0F;   // Keeps its codes.
      scales[2] = -0.7F;  // A sign is no obstacle.
    }
    product = Normals(n.O * width, seed + 4, 3.0F);
    groups.resize(static_cast<std::size_t>(n.I));
    std::iota(groups.begin(), groups.end(), 0);
    std::mt19937 engine(seed);
    std::shuffle(groups.begin(), groups.end(), engine);
    count = std::min(n.I, kPanelGroups);
    for (std::int64_t p = 0; p < count; ++p) {
      std::vector<std::int32_t> books(static_cast<std::size_t>(n.M));
      std::iota(books.begin(), books.end(), 0);
      std::shuffle(books.begin(), books.end(), engine);
      order.insert(order.end(), books.begin(), books.end());
      for (std::int64_t d = 0; d < 8; ++d) {
        const auto row = h.begin() + (groups[static_cast<std::size_t>(p)] * 8 + d) * width;
        rows.insert(rows.end(), row, row + width);
      }
    }
  }

  // How much a row's <D H, D> falls by the changes: -2 <P, c> - <c H, c>.
  double Gain(std::int64_t o, const std::vector<float>& changes) const {
    double gain = 0.0;
    for (std::int64_t a = 0; a < count * 8; ++a) {
      const double change = changes[static_cast<std::size_t>(o * kPanelColumns + a)];
      const std::int64_t column = groups[static_cast<std::size_t>(a / 8)] * 8 + a % 8;
      gain -= 2.0 * change * product[static_cast<std::size_t>(o * n.I * 8 + column)];
      for (std::int64_t b = 0; b < count * 8; ++b) {
        const std::int64_t other = groups[static_cast<std::size_t>(b / 8)] * 8 + b % 8;
        gain -= change * rows[static_cast<std::size_t>(a * n.I * 8 + other)] *
                static_cast<double>(changes[static_cast<std::size_t>(o * kPanelColumns + b)]);
      }
    }
    return gain;
  }

  CodeShape n;
  std::int64_t count = 0;
  std::vector<float> h, codebooks, scales, product, rows;
  std::vector<std::int32_t> codes, groups, order;
};

TEST_F(DeviceOpsTest, PanelSearchTakesTheReferencesCodes) {
  const CodeShape shapes[] = {{.O = 1, .I = 1, .M = 1, .K = 2, .g = 8},
                              {.O = 37, .I = 5, .M = 2, .K = 251, .g = 8},
                              {.O = 129, .I = 23, .M = 3, .K = 256, .g = 8},
                              {.O = 67, .I = 17, .M = 2, .K = 1021, .g = 8},
                              {.O = 131, .I = 16, .M = 1, .K = 4099, .g = 8},
                              {.O = 257, .I = 3, .M = 1, .K = 32768, .g = 8}};
  for (const CodeShape& n : shapes) {
    const PanelProblem problem(n, 20);
    auto expected = problem.codes;
    std::vector<float> expected_changes(static_cast<std::size_t>(n.O * kPanelColumns));
    CodeSearchPanelArgs args{.shape = n,
                             .groups = problem.count,
                             .group_order = problem.groups.data(),
                             .codebook_order = problem.order.data(),
                             .xtx_rows = problem.rows.data(),
                             .product = problem.product.data(),
                             .codebooks = problem.codebooks.data(),
                             .scales = problem.scales.data(),
                             .codes = expected.data(),
                             .changes = expected_changes.data()};
    ASSERT_EQ(CodeSearchPanelRef(args), KernelStatus::kOk);
    const OnDevice<std::int32_t> groups(problem.groups), order(problem.order), codes(problem.codes);
    const OnDevice<float> rows(problem.rows), product(problem.product), books(problem.codebooks),
        scales(problem.scales), changes(n.O * kPanelColumns);
    const OnDevice<unsigned char> workspace(CodeSearchWorkspaceBytes(n));
    args = {.shape = n,
            .groups = problem.count,
            .group_order = groups.get(),
            .codebook_order = order.get(),
            .xtx_rows = rows.get(),
            .product = product.get(),
            .codebooks = books.get(),
            .scales = scales.get(),
            .codes = codes.get(),
            .changes = changes.get()};
    ExpectOk(CodeSearchPrepareCuda(n, books.get(), workspace.get(), nullptr));
    ExpectOk(CodeSearchPanelCuda(args, workspace.get(), nullptr));
    const auto found = codes.Values();
    const auto found_changes = changes.Values();
    std::int64_t rows_that_part = 0;
    const std::int64_t stride = n.I * n.M;
    for (std::int64_t o = 0; o < n.O; ++o) {
      rows_that_part += std::equal(found.begin() + o * stride,
                                   found.begin() + (o + 1) * stride,
                                   expected.begin() + o * stride)
                            ? 0
                            : 1;
      // Once two scores tie within rounding a row goes its own way, which must be as good.
      const double gain = problem.Gain(o, expected_changes);
      EXPECT_GE(problem.Gain(o, found_changes), gain - 1e-2 * std::abs(gain) - 1e-4)
          << "row " << o << " K " << n.K;
    }
    EXPECT_LE(rows_that_part, n.O / 50) << "K " << n.K;
  }
}

}  // namespace
}  // namespace bitsweep::kernels

#else

TEST(DeviceOpsTest, NeedsABuildWithCuda) {
  GTEST_SKIP() << "skipped: built without BITSWEEP_CUDA";
}

#endif
