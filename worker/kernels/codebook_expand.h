// out[o, g*j : g*j+g] = scales[o] * sum_m table[m, codes[m, o, j]], summed in f32 in the order of
// m, rounded to f16 and then to `element`: the weights of a model that was expanded when it was
// loaded (worker/engine/model/llama.h), for a product of many rows. Thread rule: reads its inputs,
// writes only `out`.
#pragma once

#include <cstdint>

#include "worker/kernels/codebook_matrix.h"
#include "worker/kernels/device.h"
#include "worker/kernels/element.h"
#include "worker/kernels/status.h"

namespace bitsweep::kernels {

struct CodebookExpandArgs {
  Element element = Element::kF16;
  CodebookShape shape;
  int count = 1;                            // Of `parts`.
  CodebookMatrix parts[kCodebookPartsMax];  // `slices` is not read.
  void* out = nullptr;                      // [sum of O, I*g]: part below part; overwritten
};

/// Tolerance: none (bit-equal). Any group size.
KernelStatus CodebookExpandRef(const CodebookExpandArgs& args);
/// `out` and `table` are 16-byte aligned, else kBadShape.
KernelStatus CodebookExpandCuda(const CodebookExpandArgs& args, DeviceStream stream);

}  // namespace bitsweep::kernels
