// LinearCodes' work on a GPU, by the quantizer's kernels: decoding, and the gradient at W^ pulled
// back to codebooks and scales over an index that is built once for codes that stay. Tensor
// operations would sort all codes in every step instead. Work goes to the current stream. Thread
// rule: const functions in any thread, on one stream.
#pragma once

#include <ATen/core/Tensor.h>

#include "worker/kernels/codebook_gradient.h"

namespace bitsweep::engine {

class DeviceCodes {
 public:
  /// Whether this build has kernels for such codes and `device` runs them (groups of 8, compute
  /// capability 9.0).
  static bool Serves(const kernels::CodeShape& shape, at::Device device);

  /// codes [O, I, M] i32 on the device, contiguous; the index is of their values now.
  void Build(const kernels::CodeShape& shape, const at::Tensor& codes);
  bool IsBuilt() const { return positions_.defined(); }

  /// codebooks [M, K, 1, g] and scales [O, 1, 1, 1], f32, contiguous -> W^ [O, I*g] f32.
  at::Tensor Decode(const at::Tensor& codebooks, const at::Tensor& scales) const;
  /// As LinearCodes::Pull, all f32. The same bits every time.
  void Pull(const at::Tensor& weight_gradient,
            const at::Tensor& codebooks,
            const at::Tensor& scales,
            at::Tensor* codebooks_gradient,
            at::Tensor* scales_gradient) const;

 private:
  kernels::CodeShape shape_;
  at::Tensor codes_;      // The given tensor.
  at::Tensor begins_;     // [M, K+1] i32
  at::Tensor positions_;  // [M, O*I] i32
};

}  // namespace bitsweep::engine
