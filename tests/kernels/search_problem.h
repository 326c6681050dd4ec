// A linear for tests of searches over codes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

#include "tests/kernels/random_values.h"
#include "worker/kernels/code_search.h"
#include "worker/kernels/matmul.h"
#include "worker/kernels/row_dots.h"

namespace bitsweep::kernels {

// A linear with random weights, codes and codebooks, and D and P that belong to them.
struct SearchProblem {
  explicit SearchProblem(const CodeShape& shape, unsigned seed = 1) : n(shape) {
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

}  // namespace bitsweep::kernels
