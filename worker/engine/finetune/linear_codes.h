// The codes of one linear while the model around them is trained. W^ enters a graph as a leaf:
// decoding it, and pulling the gradient that arrives at it back to codebooks and scales, is done
// here by the definition (arXiv 2401.06118, section 3) rather than by autograd, once a pass and
// without a scatter. In f32 the quantizer's own loops (CPU) and kernels (GPU) do it, elsewhere
// tensor operations. Codes stay unless alternatives are offered (code_choice.h): then W^ is a
// mixture of them between Soften and Settle, made by kernels where DeviceCodes serves, else by
// tensor operations. Thread rule: Decode and Pull run in any thread while nobody offers, softens,
// settles or restores.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "worker/engine/finetune/code_choice.h"
#include "worker/engine/finetune/device_codes.h"
#include "worker/engine/finetune/device_mixture.h"
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
  /// Where asked for also dL/dlogits [O, I, T], zero while codes are settled.
  void Pull(const at::Tensor& weight_gradient,
            const at::Tensor& codebooks,
            const at::Tensor& scales,
            at::Tensor* codebooks_gradient,
            at::Tensor* scales_gradient,
            at::Tensor* logits_gradient = nullptr) const;

  /// Each group gets alternatives near its part of `weight` [O, I*g]. Codes stay what they are
  /// until they are softened or settled. Returns their logits [O, I, T], of the codebooks' dtype:
  /// the tensor itself, which whoever trains moves in place.
  at::Tensor Offer(const at::Tensor& weight,
                   const at::Tensor& codebooks,
                   const at::Tensor& scales,
                   const CodeChoiceOptions& options);
  /// From here on W^ is a mixture of alternatives by softmax(logits / temperature).
  void Soften(double temperature) { temperature_ = temperature; }
  /// Each group takes the alternative with the greatest logit, as those are now.
  void Settle();
  /// The codes from before the offer.
  void Restore();

  /// What it keeps of codes and alternatives.
  std::int64_t Bytes() const;

  /// [O, I, M] i32 on the device; the tensor itself, not a copy.
  const at::Tensor& codes() const { return codes_; }
  const kernels::CodeShape& shape() const { return shape_; }

 private:
  // Positions of codebook m's entries, [O*I] i64 on the device.
  at::Tensor Places(std::int64_t m) const;
  void BuildIndex();
  void Adopt(const at::Tensor& codes);
  bool IsMixed() const { return temperature_ > 0.0; }
  at::Tensor Shares() const;  // [O*I, T]
  // Whether the CPU's loops take these values.
  bool TakenByLoops(const at::Tensor& values) const;
  // Whether the GPU's kernels do.
  bool TakenByDevice(const at::Tensor& values) const;

  kernels::CodeShape shape_;
  at::Tensor codes_;
  kernels::CodeIndex index_;  // Of codes_; on the CPU only.
  DeviceCodes on_device_;     // Of codes_; where it serves.
  DeviceMixture mixture_;     // Of alternatives_ and logits_; where they are f32 as well.
  at::Tensor before_;         // Codes from before the offer.
  at::Tensor alternatives_;   // [O*I, T, M] i32
  at::Tensor logits_;         // [O, I, T]
  double temperature_ = 0.0;  // 0: W^ is that of codes_.
};

}  // namespace bitsweep::engine
