// A linear whose groups are mixtures of alternatives, as fine-tuning anneals them (why:
// worker/engine/finetune/README.md, PV-tuning), and the gradient of it:
//   out[o, g*j : g*j+g] = scales[o] * sum_t p_t E_t
//   E_t = sum_m codebooks[m, alternatives[o, j, t, m]]
//   p = softmax over t of logits[o, j, t] / temperature
// Thread rule: reads its inputs, writes only its outputs.
#pragma once

#include <cstdint>

#include "worker/kernels/dequantize.h"
#include "worker/kernels/device.h"
#include "worker/kernels/status.h"

namespace bitsweep::kernels {

struct CodeMixture {
  CodeShape shape;                             // Of the linear.
  std::int64_t T = 0;                          // Alternatives of a group.
  const std::int32_t* alternatives = nullptr;  // [O, I, T, M] in [0, K)
  const float* logits = nullptr;               // [O, I, T]
  float temperature = 1.0F;                    // Above 0.
  const float* codebooks = nullptr;            // [M, K, g]
  const float* scales = nullptr;               // [O]
  bool Valid() const { return shape.Valid() && T > 0 && temperature > 0.0F; }
};

/// Where a gradient G [O, I*g] at `out` goes. The codebooks' is the segmented sum over (o, j, t) of
/// entry_scales * G_oj (codebook_gradient.h, with `copies` = T).
struct CodeMixtureGradient {
  float* entry_scales = nullptr;  // [O, I, T]: scales[o] p_t
  float* dots = nullptr;    // [O, I]: sum_t p_t <G_oj, E_t>; their sum over j is dL/dscales[o]
  float* logits = nullptr;  // [O, I, T]: scales[o] p_t (<G_oj, E_t> - dots[o, j]) / temperature
};

/// out [O, I*g], overwritten; disjoint from the inputs. Sums in double.
KernelStatus MixCodesRef(const CodeMixture& mixture, float* out);
/// On a device, for g = 8, in f32. Tolerance for entries and scales that are normal numbers: 2e-4
/// M.
KernelStatus MixCodesCuda(const CodeMixture& mixture, float* out, DeviceStream stream);

/// slope [O, I*g]; all outputs overwritten. Sums in double.
KernelStatus PullMixtureRef(const CodeMixture& mixture,
                            const float* slope,
                            const CodeMixtureGradient& out);
/// On a device, for g = 8, in f32; the same bits every time. Tolerance for slopes, entries and
/// scales that are normal numbers: entry_scales 1e-4, dots 1e-3 M, logits 4e-3 M / temperature.
KernelStatus PullMixtureCuda(const CodeMixture& mixture,
                             const float* slope,
                             const CodeMixtureGradient& out,
                             DeviceStream stream);

}  // namespace bitsweep::kernels
