// One sweep of the search over codes (arXiv 2401.06118, section 3.2, beam 1): groups in the given
// order, codebooks in the given order inside each group; every row takes the code that minimises
// its <dW H, dW> with all its other codes fixed, exactly.
//
// With D = W - W^ and P = D H, changing row o's code of (j, m) from c to k adds, up to a constant,
//   s^2 C_k H_jj C_k^T - 2 s C_k . (P_j + s C_c H_jj)
// to its loss, so a candidate costs g multiply-adds and no K x O matrix exists. P is kept up to
// date in panels of groups: inside a panel at once, elsewhere by one product at its end (GPTQ's
// blocking, arXiv 2210.17323). Thread rule: rows are divided over threads; a row's result does not
// depend on the division.
#pragma once

#include <cstdint>

#include "worker/kernels/dequantize.h"
#include "worker/kernels/status.h"

namespace bitsweep::kernels {

struct CodeSearchArgs {
  CodeShape shape;
  const float* xtx = nullptr;                 // H [I*g, I*g], symmetric
  const float* codebooks = nullptr;           // [M, K, g]
  const float* scales = nullptr;              // [O]
  const std::int32_t* group_order = nullptr;  // [I], a permutation of 0..I-1
  const std::int32_t* codebook_order =
      nullptr;                    // [I, M]: row i is the permutation used at the i-th visited group
  std::int32_t* codes = nullptr;  // [O, I, M], updated
  float* residual = nullptr;      // D = W - W^ [O, I*g], updated
  float* product = nullptr;       // P = D H [O, I*g], updated
  int threads = 1;
};

/// Tolerance: f32 rounding of P. A code may differ from the reference's where two candidates'
/// scores agree to 1e-4 of the row's loss; from then on a row may take another path, so tests
/// compare losses (1e-3 relative) and single steps.
KernelStatus CodeSearchSweep(const CodeSearchArgs& args);
/// Plain loops in double, P recomputed from D at every step: the definition. O(O I^2 g^2) per
/// codebook: small sizes only.
KernelStatus CodeSearchSweepRef(const CodeSearchArgs& args);

}  // namespace bitsweep::kernels
