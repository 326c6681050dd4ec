// out[m, k, :] = sum over (o, j) with codes[o, j, m] = k of x[o, j, :]: the segmented sum that
// turns a gradient with respect to the weights into one with respect to the codebooks (x = scale_o
// * dL/dW^), and the update step of k-means. The codes are indexed once and summed many times: no
// two threads write one entry, and the order of a sum never depends on the number of threads.
// Thread rule: a CodeIndex is immutable after Build.
#pragma once

#include <cstdint>
#include <vector>

#include "worker/kernels/dequantize.h"
#include "worker/kernels/device.h"
#include "worker/kernels/status.h"

namespace bitsweep::kernels {

/// For each codebook, the positions (o*I + j) that use each entry, ascending.
class CodeIndex {
 public:
  /// codes [O, I, M] in [0, K).
  void Build(const CodeShape& shape, const std::int32_t* codes, int threads);
  const CodeShape& shape() const { return shape_; }
  std::int64_t Count(std::int64_t m, std::int64_t k) const { return Begin(m, k + 1) - Begin(m, k); }
  /// Positions of entry k of codebook m are Positions(m)[Begin(m, k)] .. [Begin(m, k + 1)).
  std::int64_t Begin(std::int64_t m, std::int64_t k) const {
    return begins_[static_cast<std::size_t>(m * (shape_.K + 1) + k)];
  }
  const std::int32_t* Positions(std::int64_t m) const {
    return positions_.data() + m * shape_.O * shape_.I;
  }

 private:
  CodeShape shape_;
  std::vector<std::int32_t> begins_;     // [M, K+1]
  std::vector<std::int32_t> positions_;  // [M, O*I]
};

struct CodebookGradientArgs {
  const CodeIndex* index = nullptr;
  const float* x = nullptr;  // [O, I*g]
  float* out = nullptr;      // [M, K, g], overwritten; zero for an entry that no code names
  int threads = 1;
};

/// Tolerance against the reference: |difference| <= 1e-6 * sum |x| over the entry's positions *
/// sqrt(their number) (f32 sums).
KernelStatus CodebookGradient(const CodebookGradientArgs& args);
/// codes as given to Build. Sums in double.
KernelStatus CodebookGradientRef(const CodebookGradientArgs& args, const std::int32_t* codes);

/// CodeIndex in device memory: the same lists in the same order.
struct DeviceCodeIndex {
  CodeShape shape;
  std::int32_t* begins = nullptr;     // [M, K+1]
  std::int32_t* positions = nullptr;  // [M, O*I]
  std::int32_t copies = 1;            // Points in a row that have one x together.
};
/// codes [O, I, M]. `workspace` is device memory of CodeIndexWorkspaceBytes(shape).
KernelStatus BuildCodeIndexCuda(const DeviceCodeIndex& index,
                                const std::int32_t* codes,
                                void* workspace,
                                DeviceStream stream);
std::int64_t CodeIndexWorkspaceBytes(const CodeShape& shape);

/// CodebookGradient on a device, for g = 8. x [O, I*8] is multiplied by row_scales[o] where those
/// are given; with index.copies = c it is [O*I / c, 8], and point p has x[p / c]. The same bits every
/// time.
KernelStatus CodebookGradientCuda(const DeviceCodeIndex& index,
                                  const float* x,
                                  const float* row_scales,
                                  float* out,
                                  DeviceStream stream);

}  // namespace bitsweep::kernels
