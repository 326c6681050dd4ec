// The search over codes with several hypotheses a row (arXiv 2401.06118, section 3.2, beam k > 1)
// by tensor operations: for GPUs, which have no kernel for it. Thread rule: one thread an object of work; torch's own threads are used.
#pragma once

#include <cstdint>

#include <c10/core/Device.h>

#include "worker/kernels/code_beam_search.h"

namespace bitsweep::engine {

/// As kernels::CodeBeamSweep. Pointers of `args` are memory of `device`, the two orders are host memory; `residual` and `threads` are ignored,
/// and `product` is the best hypothesis's afterwards. Memory: two products [O, I*g] a
/// hypothesis, and up to 2^28 scores four times on a GPU, 2^20 on the CPU.
void BeamSearchSweep(const kernels::CodeSearchArgs& args, int beam, c10::Device device);

}  // namespace bitsweep::engine
