// out[o, g*j : g*j+g] = scales[o] * sum_m codebooks[m, codes[o, j, m]]   (arXiv 2401.06118, section
// 3) Thread rule: reads its inputs, writes only `out`.
#pragma once

#include <cstdint>

#include "worker/kernels/device.h"
#include "worker/kernels/status.h"

namespace bitsweep::kernels {

/// Sizes of one quantized linear: O output rows, I input groups, M codebooks, K entries each, g
/// weights a group.
struct CodeShape {
  std::int64_t O = 0, I = 0, M = 0, K = 0, g = 0;
  bool Valid() const { return O > 0 && I > 0 && M > 0 && K > 0 && g > 0; }
};

struct DequantizeArgs {
  CodeShape shape;
  const std::int32_t* codes = nullptr;  // [O, I, M] in [0, K)
  const float* codebooks = nullptr;     // [M, K, g]
  const float* scales = nullptr;        // [O]
  float* out = nullptr;                 // [O, I*g], overwritten; disjoint from the inputs
  int threads = 1;
};

/// Tolerance: none, both sum codebooks in the same order (bit-equal).
KernelStatus Dequantize(const DequantizeArgs& args);
KernelStatus DequantizeRef(const DequantizeArgs& args);
/// On a device, any g; `threads` is ignored. `minuend` [O, I*g] may be null: otherwise
/// out = minuend - W^, and may be `out` itself.
KernelStatus DequantizeCuda(const DequantizeArgs& args, const float* minuend, DeviceStream stream);

}  // namespace bitsweep::kernels
