// out[r] = sum_n a[r, n] b[r, n]: the rows' losses <D, D H> and the products of a
// conjugate-gradient step. Thread rule: reads its inputs, writes only `out`; the same bits for any
// number of threads.
#pragma once

#include <cstdint>

#include "worker/kernels/status.h"

namespace bitsweep::kernels {

struct RowDotsArgs {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  const float* a = nullptr;  // [rows, columns]
  const float* b = nullptr;  // [rows, columns]
  double* out = nullptr;     // [rows], overwritten
  int threads = 1;
};

/// Tolerance: |difference| <= 1e-6 * sum_n |a b| (products and lanes in f32, lanes joined in
/// double).
KernelStatus RowDots(const RowDotsArgs& args);
KernelStatus RowDotsRef(const RowDotsArgs& args);

}  // namespace bitsweep::kernels
