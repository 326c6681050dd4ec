// The codes of one linear while the model around them is trained. W^ enters a graph as a leaf:
// decoding it, and pulling the gradient that arrives at it back to codebooks and scales, is done
// here by the definition (arXiv 2401.06118, section 3) rather than by autograd, once a pass and
// without a scatter. In f32 the quantizer's own loops (CPU) and kernels (GPU) do it, elsewhere tensor
// operations. Codes stay unless Move is called (code_moves.h). Thread rule: Decode and Pull run in
// any thread while nobody moves or adopts.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "worker/engine/finetune/code_moves.h"
#include "worker/engine/finetune/device_codes.h"
#include "worker/kernels/codebook_gradient.h"

namespace bitsweep::engine {

class LinearCodes {
 public:
  /// codes [O, I, M] i32 in [0, K); they are copied to `device`.
  LinearCodes(const at::Tensor& codes,
              std::int64_t codebook_size,
              std::int64_t group_size,
              at::Device device);

  /// codebooks [M, K, 1, g], scales [O, 1, 1, 1] -> W^ [O, I*g] of their dtype.
  at::Tensor Decode(const at::Tensor& codebooks, const at::Tensor& scales) const;

  /// dL/dW^ [O, I*g] -> dL/dcodebooks [M, K, 1, g] and dL/dscales [O, 1, 1, 1]. The same bits every
  /// time on one device.
  void Pull(const at::Tensor& weight_gradient,
            const at::Tensor& codebooks,
            const at::Tensor& scales,
            at::Tensor* codebooks_gradient,
            at::Tensor* scales_gradient) const;

  /// As MoveCodes of code_moves.h: codes go towards W^ - step [O, I*g].
  std::int64_t Move(const at::Tensor& step,
                    const at::Tensor& curvature,
                    const at::Tensor& codebooks,
                    const at::Tensor& scales,
                    const CodeMoveOptions& options,
                    double reach);
  /// After somebody else wrote into codes(): a state that was read, or the best one.
  void Adopt();

  /// [O, I, M] i32 on the device; the tensor itself, not a copy.
  const at::Tensor& codes() const { return codes_; }
  const kernels::CodeShape& shape() const { return shape_; }

 private:
  // Positions of codebook m's entries, [O*I] i64 on the device.
  at::Tensor Places(std::int64_t m) const;
  // Whether the CPU's loops take these values.
  bool TakenByLoops(const at::Tensor& values) const;
  // Whether the GPU's kernels do.
  bool TakenByDevice(const at::Tensor& values) const;

  kernels::CodeShape shape_;
  at::Tensor codes_;
  kernels::CodeIndex index_;  // Of codes_; on the CPU only.
  DeviceCodes on_device_;     // Of codes_; where it serves.
};

}  // namespace bitsweep::engine
