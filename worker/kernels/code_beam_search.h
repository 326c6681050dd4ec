// The sweep of code_search.h with several hypotheses of all codes of a row (arXiv 2401.06118, section
// 3.2, beam k > 1): groups and codebooks in the given orders; each visited code is exchanged for
// every entry in every hypothesis, and the `beam` of lowest <dW H, dW> are kept. All are different:
// every place is visited once, and hypotheses differ in places that were visited before. Thread
// rule: rows are divided over threads; a row's result does not depend on the division.
#pragma once

#include "worker/kernels/code_search.h"

namespace bitsweep::kernels {

inline constexpr int kBeamMax = 64;

/// As CodeSearchSweep, with 1 <= beam <= kBeamMax; the best hypothesis is taken at the end, so no row
/// gets worse. Ties go to the better parent, then to the lower entry. Memory: 4 beam (I*g + 2 I*M)
/// bytes a row. Tolerance: as CodeSearchSweep's.
KernelStatus CodeBeamSweep(const CodeSearchArgs& args, int beam);
/// Plain loops in double, every loss computed from D and H: the definition. Small sizes only.
KernelStatus CodeBeamSweepRef(const CodeSearchArgs& args, int beam);

}  // namespace bitsweep::kernels
