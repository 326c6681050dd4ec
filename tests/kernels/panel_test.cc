// The references of the device ops, held against the CPU ops that other tests prove: they define
// what a GPU must give, so a machine without one checks them.
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include "tests/kernels/random_values.h"
#include "worker/kernels/code_search.h"
#include "worker/kernels/code_search_panel.h"
#include "worker/kernels/entry_solve.h"
#include "worker/kernels/matmul.h"

namespace bitsweep::kernels {
namespace {

// D, P and the orders of one sweep.
struct Start {
  explicit Start(const CodeShape& n)
      : width(n.I * 8),
        h(Xtx(width, 1)),
        books(Normals(n.M * n.K * 8, 2, 0.5F)),
        scales(Normals(n.O, 3, 0.1F)),
        residual(Normals(n.O * width, 4)),
        product(residual.size()),
        codes(Codes(n.O * n.I * n.M, n.K, 5)),
        groups(static_cast<std::size_t>(n.I)),
        order(static_cast<std::size_t>(n.I * n.M)) {
    for (float& scale : scales) {
      scale += 1.0F;
    }
    std::iota(groups.rbegin(), groups.rend(), 0);
    for (std::size_t i = 0; i < order.size(); ++i) {
      order[i] = static_cast<std::int32_t>((i + i / static_cast<std::size_t>(n.M)) %
                                           static_cast<std::size_t>(n.M));
    }
    Multiply(residual, &product, n.O);
  }

  void Multiply(const std::vector<float>& d, std::vector<float>* p, std::int64_t rows) const {
    PackedMatrix packed;
    packed.Pack(h.data(), width, width, width);
    MatmulRef(
        {.rows = rows, .a = d.data(), .lda = width, .b = &packed, .c = p->data(), .ldc = width});
  }

  std::int64_t width;
  std::vector<float> h, books, scales, residual, product;
  std::vector<std::int32_t> codes, groups, order;
};

TEST(CodeSearchPanel, PanelsWithTheirProductsAreASweep) {
  const CodeShape n{.O = 7, .I = 19, .M = 2, .K = 23, .g = 8};
  Start whole(n);
  ASSERT_EQ(CodeSearchSweepRef({.shape = n,
                                .xtx = whole.h.data(),
                                .codebooks = whole.books.data(),
                                .scales = whole.scales.data(),
                                .group_order = whole.groups.data(),
                                .codebook_order = whole.order.data(),
                                .codes = whole.codes.data(),
                                .residual = whole.residual.data(),
                                .product = whole.product.data()}),
            KernelStatus::kOk);
  Start panels(n);
  std::vector<float> changes(static_cast<std::size_t>(n.O * kPanelColumns));
  for (std::int64_t begin = 0; begin < n.I; begin += kPanelGroups) {
    const std::int64_t count = std::min(kPanelGroups, n.I - begin);
    std::vector<float> rows;
    for (std::int64_t c = 0; c < count * 8; ++c) {
      const auto row =
          panels.h.begin() +
          (panels.groups[static_cast<std::size_t>(begin + c / 8)] * 8 + c % 8) * panels.width;
      rows.insert(rows.end(), row, row + panels.width);
    }
    ASSERT_EQ(CodeSearchPanelRef({.shape = n,
                                  .groups = count,
                                  .group_order = panels.groups.data() + begin,
                                  .codebook_order = panels.order.data() + begin * n.M,
                                  .xtx_rows = rows.data(),
                                  .product = panels.product.data(),
                                  .codebooks = panels.books.data(),
                                  .scales = panels.scales.data(),
                                  .codes = panels.codes.data(),
                                  .changes = changes.data()}),
              KernelStatus::kOk);
    for (std::int64_t o = 0; o < n.O; ++o) {
      for (std::int64_t c = 0; c < count * 8; ++c) {
        const std::int64_t column =
            panels.groups[static_cast<std::size_t>(begin + c / 8)] * 8 + c % 8;
        panels.residual[static_cast<std::size_t>(o * panels.width + column)] +=
            changes[static_cast<std::size_t>(o * kPanelColumns + c)];
      }
    }
    panels.Multiply(panels.residual, &panels.product, n.O);
  }
  EXPECT_EQ(panels.codes, whole.codes);
}

TEST(EntrySolve, SolvesTheDampedBlock) {
  const CodeShape n{.O = 1, .I = 1, .M = 1, .K = 2, .g = 8};
  const auto block = Xtx(8, 6);
  const std::vector<float> scales = {2.0F};
  const std::vector<std::int32_t> codes = {1};
  const auto r = Normals(16, 7);
  std::vector<float> factors(128);
  std::vector<float> z(16);
  ASSERT_EQ(EntryFactorRef({.shape = n,
                            .diagonal = block.data(),
                            .scales = scales.data(),
                            .factors = factors.data()},
                           codes.data()),
            KernelStatus::kOk);
  ASSERT_EQ(EntrySolveRef(2, factors.data(), r.data(), z.data()), KernelStatus::kOk);
  double trace = 0.0;
  for (std::size_t d = 0; d < 8; ++d) {
    EXPECT_EQ(z[d], 0.0F) << "an entry that no code names";
    trace += 4.0 * static_cast<double>(block[d * 9]);
  }
  for (std::size_t a = 0; a < 8; ++a) {
    double sum = 1e-4 * trace / 8.0 * static_cast<double>(z[8 + a]);
    for (std::size_t b = 0; b < 8; ++b) {
      sum += 4.0 * static_cast<double>(block[a * 8 + b]) * static_cast<double>(z[8 + b]);
    }
    EXPECT_NEAR(sum, static_cast<double>(r[8 + a]), 1e-4);
  }
}

}  // namespace
}  // namespace bitsweep::kernels
