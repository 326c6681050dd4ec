// The search over codes with several hypotheses a row (arXiv 2401.06118, section 3.2, beam k > 1),
// by tensor operations on any device; with one hypothesis kernels::CodeSearchSweep gives the same
// and is far faster. Thread rule: one thread an object of work; torch's own threads are used.
#pragma once

#include <cstdint>

#include <c10/core/Device.h>

#include "worker/kernels/code_search.h"

namespace bitsweep::engine {

inline constexpr int kBeamSizeMax = 64;

/// As kernels::CodeSearchSweep, with `beam` hypotheses of all codes of a row: each visited code is
/// exchanged for every entry in every hypothesis, and the `beam` different ones of lowest
/// <dW H, dW> are kept; the best is taken at the end, so that no row gets worse. Pointers of `args`
/// are memory of `device`, the two orders are host memory; `residual` and `threads` are ignored,
/// and `product` is the best hypothesis's afterwards. Memory: two products [O, I*g] a
/// hypothesis, and up to 2^28 scores four times on a GPU, 2^20 on the CPU.
void BeamSearchSweep(const kernels::CodeSearchArgs& args, int beam, c10::Device device);

}  // namespace bitsweep::engine
