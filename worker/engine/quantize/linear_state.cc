#include "worker/engine/quantize/linear_state.h"

#include <numeric>

#include "worker/kernels/row_dots.h"

namespace bitsweep::engine {

LinearState::LinearState(const LinearProblem& linear,
                         const kernels::CodeShape& code_shape,
                         int thread_count)
    : problem(linear), shape(code_shape), threads(thread_count) {
  xtx.Pack(problem.xtx, width(), width(), width());
  const auto size = static_cast<std::size_t>(shape.O * width());
  weight_product.resize(size);
  residual.resize(size);
  product.resize(size);
  TimesXtx(problem.weight, weight_product.data());
  std::vector<double> dots;
  RowDots(problem.weight, weight_product.data(), &dots);
  reference = std::accumulate(dots.begin(), dots.end(), 0.0) / static_cast<double>(shape.O);
}

void LinearState::Refresh() {
  Decode(codebooks.data(), residual.data());
  for (std::size_t i = 0; i < residual.size(); ++i) {
    residual[i] = problem.weight[i] - residual[i];
  }
  RefreshProduct();
}

void LinearState::RefreshProduct() {
  TimesXtx(residual.data(), product.data());
}

double LinearState::Loss() const {
  std::vector<double> dots;
  RowDots(residual.data(), product.data(), &dots);
  return std::accumulate(dots.begin(), dots.end(), 0.0) / static_cast<double>(shape.O);
}

void LinearState::TimesXtx(const float* a, float* out) const {
  kernels::Matmul({.rows = shape.O,
                   .a = a,
                   .lda = width(),
                   .b = &xtx,
                   .c = out,
                   .ldc = width(),
                   .accumulate = false,
                   .threads = threads});
}

void LinearState::RowDots(const float* a, const float* b, std::vector<double>* out) const {
  out->resize(static_cast<std::size_t>(shape.O));
  kernels::RowDots({.rows = shape.O,
                    .columns = width(),
                    .a = a,
                    .b = b,
                    .out = out->data(),
                    .threads = threads});
}

void LinearState::Decode(const float* books, float* out) const {
  kernels::Dequantize({.shape = shape,
                       .codes = codes.data(),
                       .codebooks = books,
                       .scales = scales.data(),
                       .out = out,
                       .threads = threads});
}

}  // namespace bitsweep::engine
