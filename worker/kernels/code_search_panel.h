// The search over codes of code_search.h, for one panel of input groups: every row takes, group by
// group and codebook by codebook in the given order, the code that minimises its <dW H, dW> with
// all its other codes fixed. It is the unit of work of a device: rows are independent through a
// whole panel, so one launch searches it, and what the panel changes elsewhere is one product at
// its end (GPTQ's blocking, arXiv 2210.17323), which the caller does:
//
//   D[:, columns] += changes        P += changes H[columns, :]
//
// With v = 2 (P_j / s + C_c H_jj) the score of candidate k is C_k H_jj C_k^T - C_k . v: the row's
// loss of code_search.h divided by s^2 (a row with s = 0 keeps its codes).
// Thread rule: reads its inputs, writes codes, changes and the workspace.
#pragma once

#include <cstdint>

#include "worker/kernels/dequantize.h"
#include "worker/kernels/device.h"

namespace bitsweep::kernels {

/// Groups of 8 a panel, at most.
inline constexpr std::int64_t kPanelGroups = 16;
/// Columns of `changes`.
inline constexpr std::int64_t kPanelColumns = kPanelGroups * 8;

struct CodeSearchPanelArgs {
  CodeShape shape;                            // g = 8
  std::int64_t groups = 0;                    // In this panel, <= kPanelGroups
  const std::int32_t* group_order = nullptr;  // [groups], distinct, in [0, I)
  const std::int32_t* codebook_order = nullptr;  // [groups, M]: row i is a permutation of 0..M-1
  const float* xtx_rows = nullptr;  // [groups*8, I*8]: H's rows of these groups, in their order
  const float* product = nullptr;   // P = D H [O, I*8], of before the panel
  const float* codebooks = nullptr;  // [M, K, 8]
  const float* scales = nullptr;     // [O]
  std::int32_t* codes = nullptr;     // [O, I, M], updated
  float* changes = nullptr;  // [O, kPanelColumns], overwritten: what D grows by at the panel's
                             // columns, in their order; zero beyond groups*8
};

/// Plain loops in double: the definition. The device version may differ where two candidates'
/// scores agree to f32 rounding; it never takes a code whose f32 score is above the current one's.
KernelStatus CodeSearchPanelRef(const CodeSearchPanelArgs& args);

/// Device memory for the panels of one sweep.
std::int64_t CodeSearchWorkspaceBytes(const CodeShape& shape);
/// Once for a set of codebooks, before their panels: lays the candidates out in the workspace.
KernelStatus CodeSearchPrepareCuda(const CodeShape& shape,
                                   const float* codebooks,
                                   void* workspace,
                                   DeviceStream stream);
/// REQUIRES: CodeSearchPrepareCuda of the same shape and codebooks on the same workspace and stream.
KernelStatus CodeSearchPanelCuda(const CodeSearchPanelArgs& args,
                                 void* workspace,
                                 DeviceStream stream);

}  // namespace bitsweep::kernels
