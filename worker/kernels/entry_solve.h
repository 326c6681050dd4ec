// The preconditioner of the codebooks' least squares: for each entry the 8 x 8 block of the normal
// equations that belongs to itself,
//   B[m, k] = sum over (o, j) with codes[o, j, m] = k of s_o^2 H_jj,
// damped by 1e-4 of its mean diagonal, as a Cholesky factor; and z = B^-1 r with it. An entry that no
// code names has z = 0.
// Thread rule: writes only its outputs.
#pragma once

#include <cstdint>

#include "worker/kernels/codebook_gradient.h"

namespace bitsweep::kernels {

struct EntryFactorArgs {
  CodeShape shape;                  // g = 8
  const float* diagonal = nullptr;  // H_jj of every group [I, 8, 8]
  const float* scales = nullptr;    // [O]
  float* factors = nullptr;         // [M*K, 8, 8]: lower triangle, reciprocal diagonal; overwritten
};

/// Tolerance: z = B^-1 r through both factors agrees to 1e-3 of |z| (the blocks' sums are f32 on a
/// device, and damping bounds their condition).
KernelStatus EntryFactorRef(const EntryFactorArgs& args, const std::int32_t* codes);
KernelStatus EntryFactorCuda(const EntryFactorArgs& args,
                             const DeviceCodeIndex& index,
                             DeviceStream stream);

/// z [entries, 8] = B^-1 r, entry by entry.
KernelStatus EntrySolveRef(std::int64_t entries, const float* factors, const float* r, float* z);
KernelStatus EntrySolveCuda(
    std::int64_t entries, const float* factors, const float* r, float* z, DeviceStream stream);

}  // namespace bitsweep::kernels
