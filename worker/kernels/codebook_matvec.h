// out = x W^T for few rows of x and matrices W that stay codes and codebooks (codebook_matrix.h):
//   out[b, o] = scales[o] * sum_j sum_m <x[b, g*j : g*j+g], table[m, codes[m, o, j]]>
// Entries are rounded to the type of x first, which for f16 changes nothing; products and sums are
// f32, and W is rounded nowhere, unlike that of an expanded model. A row's result is the same bits
// whatever the other rows are, on one model of device. Thread rule: reads its inputs, writes only
// `out`.
#pragma once

#include <cstdint>

#include "worker/kernels/codebook_matrix.h"
#include "worker/kernels/device.h"
#include "worker/kernels/element.h"
#include "worker/kernels/status.h"

namespace bitsweep::kernels {

struct CodebookMatvecArgs {
  Element element = Element::kF16;
  CodebookShape shape;
  std::int64_t rows = 0;
  int count = 1;                            // Of `parts`.
  CodebookMatrix parts[kCodebookPartsMax];  // All of one shape, but for their O.
  const void* x = nullptr;                  // [rows, I*g], 16-byte aligned
  void* out = nullptr;                      // [rows, sum of O]: part after part; overwritten
};

/// How a GPU's blocks hold the codebooks. Each holds `books` of them, of each entry one slice of
/// `slice` weights; `blocks` together (a cluster) have all.
struct CodebookPlan {
  std::int64_t slice = 0;  // 0: there is no look-up product of this shape; expand the matrix.
  std::int64_t books = 0;
  std::int64_t blocks = 0;
  std::int64_t copies = 1;  // In shared memory, side by side, each for some of a warp's lanes.
  bool shared = true;       // False: entries are read from the cache.
  std::int64_t TableBytes(const CodebookShape& n) const {
    return shared ? books * n.K() * slice * 2 * copies : 0;
  }
};
CodebookPlan PlanCodebookMatvec(const CodebookShape& shape);

/// Tolerance: two steps of the type, and 2^-18 of sum |x W| (order of f32 sums).
KernelStatus CodebookMatvecRef(const CodebookMatvecArgs& args);
/// kBadShape where the plan has no slice, and where x or codes are not 16-byte aligned. Meant for
/// up to 32 rows, which read the codes once; more take them in portions of 32.
KernelStatus CodebookMatvecCuda(const CodebookMatvecArgs& args, DeviceStream stream);

}  // namespace bitsweep::kernels
