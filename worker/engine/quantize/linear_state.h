// The state of one linear's quantization and the quantities every step needs: D = W - W^ and P = D
// H. It exists so that updates and searches share buffers and one definition of the loss. Thread
// rule: one owner; its steps use up to `threads` threads.
#pragma once

#include <cstdint>
#include <vector>

#include "worker/engine/quantize/linear_quantizer.h"
#include "worker/kernels/dequantize.h"
#include "worker/kernels/matmul.h"

namespace bitsweep::engine {

struct LinearState {
  LinearState(const LinearProblem& linear, const kernels::CodeShape& code_shape, int thread_count);

  std::int64_t width() const { return shape.I * shape.g; }
  /// Recomputes D and P from codes, codebooks and scales: drops the rounding that incremental
  /// updates gathered.
  void Refresh();
  /// P = D H.
  void RefreshProduct();
  /// <D, P> / O of the current D and P.
  double Loss() const;
  /// out [O, I*g] = a [O, I*g] H.
  void TimesXtx(const float* a, float* out) const;
  /// out[o] = <a_o, b_o>, both [O, I*g].
  void RowDots(const float* a, const float* b, std::vector<double>* out) const;
  /// out [O, I*g] = scales * sum of `books`' entries (books [M, K, g]).
  void Decode(const float* books, float* out) const;

  LinearProblem problem;
  kernels::CodeShape shape;
  int threads;
  kernels::PackedMatrix xtx;          // H
  std::vector<float> weight_product;  // W H [O, I*g]
  double reference = 0.0;             // <W H, W> / O
  std::vector<std::int32_t> codes;    // [O, I, M]
  std::vector<float> codebooks;       // [M, K, g]
  std::vector<float> scales;          // [O]
  std::vector<float> residual;        // D [O, I*g]
  std::vector<float> product;         // P [O, I*g]
};

}  // namespace bitsweep::engine
