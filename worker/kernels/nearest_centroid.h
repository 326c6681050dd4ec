// assignment[n] = arg min_k ||x_n - c_k||^2, the lowest k on ties: the assignment step of k-means.
// Computed as |c_k|^2 / 2 - x_n . c_k, which drops the term that does not depend on k; no N x K
// matrix is ever stored. Thread rule: reads its inputs, writes only `assignment`.
#pragma once

#include <cstdint>

#include "worker/kernels/device.h"
#include "worker/kernels/status.h"

namespace bitsweep::kernels {

struct NearestCentroidArgs {
  std::int64_t points = 0;             // N
  std::int64_t centroids = 0;          // K
  std::int64_t group = 0;              // g
  const float* x = nullptr;            // [N, g]
  const float* c = nullptr;            // [K, g]
  std::int32_t* assignment = nullptr;  // [N], overwritten; disjoint from the inputs
  int threads = 1;
};

/// Tolerance: where the two differ, the squared distances of both choices agree to 1e-5 * (|x|^2 +
/// max |c|^2).
KernelStatus NearestCentroid(const NearestCentroidArgs& args);
KernelStatus NearestCentroidRef(const NearestCentroidArgs& args);

/// On a device, for group 8 (kBadShape otherwise). `workspace` is device memory that a later call on
/// the same stream may use again. x and c are 16-byte aligned; `threads` is ignored.
KernelStatus NearestCentroidCuda(const NearestCentroidArgs& args,
                                 void* workspace,
                                 DeviceStream stream);
std::int64_t NearestCentroidWorkspaceBytes(std::int64_t centroids);

}  // namespace bitsweep::kernels
