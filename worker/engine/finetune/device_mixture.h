// LinearCodes' work on a GPU while codes are mixtures, by kernels: alternatives stay, so an index
// of them is built once, where tensor operations would sort all of them in every step. Work goes to
// the current stream. Thread rule: const functions in any thread, on one stream.
#pragma once

#include <ATen/core/Tensor.h>

#include "worker/kernels/code_mixture.h"

namespace bitsweep::engine {

class DeviceMixture {
 public:
  /// alternatives [O*I, T, M] i32 and logits [O, I, T] f32 on the device, contiguous, both kept;
  /// the index is of the alternatives' values now. `shape` is one that DeviceCodes serves.
  void Build(const kernels::CodeShape& shape,
             const at::Tensor& alternatives,
             const at::Tensor& logits);
  bool IsBuilt() const { return positions_.defined(); }
  /// Of the index.
  std::int64_t Bytes() const;

  /// codebooks [M, K, 1, 8] and scales [O, 1, 1, 1], f32, contiguous -> W^ [O, I*8] f32.
  at::Tensor Decode(const at::Tensor& codebooks,
                    const at::Tensor& scales,
                    double temperature) const;
  /// As LinearCodes::Pull, all f32. The same bits every time.
  void Pull(const at::Tensor& weight_gradient,
            const at::Tensor& codebooks,
            const at::Tensor& scales,
            double temperature,
            at::Tensor* codebooks_gradient,
            at::Tensor* scales_gradient,
            at::Tensor* logits_gradient) const;

 private:
  kernels::CodeMixture Mixture(const at::Tensor& codebooks,
                               const at::Tensor& scales,
                               double temperature) const;

  kernels::CodeShape shape_;
  at::Tensor alternatives_, logits_;  // The given tensors.
  at::Tensor begins_;                 // [M, K+1] i32
  at::Tensor positions_;              // [M, O*I*T] i32
};

}  // namespace bitsweep::engine
