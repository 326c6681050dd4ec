// The search over codes on a device against its reference. Without a GPU: see device_ops_test.cc.
#if defined(BITSWEEP_CUDA)

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "tests/kernels/on_device.h"
#include "tests/kernels/random_values.h"
#include "worker/kernels/code_search_panel.h"

namespace bitsweep::kernels {
namespace {

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

#endif
