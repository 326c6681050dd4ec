#include "worker/engine/finetune/linear_codes.h"

#include <vector>

#include <ATen/ATen.h>

namespace bitsweep::engine {

LinearCodes::LinearCodes(const at::Tensor& codes,
                         std::int64_t codebook_size,
                         std::int64_t group_size,
                         at::Device device)
    : shape_{codes.size(0), codes.size(1), codes.size(2), codebook_size, group_size},
      codes_(codes
                 .to(at::TensorOptions().dtype(at::kInt).device(device),
                     /*non_blocking=*/false,
                     /*copy=*/true)
                 .contiguous()) {
  Adopt();
}

void LinearCodes::Adopt() {
  if (codes_.is_cpu()) {
    index_.Build(shape_, codes_.data_ptr<std::int32_t>(), 1);
  } else if (DeviceCodes::Serves(shape_, codes_.device())) {
    on_device_.Build(shape_, codes_);
  }
}

std::int64_t LinearCodes::Move(const at::Tensor& step,
                               const at::Tensor& curvature,
                               const at::Tensor& codebooks,
                               const at::Tensor& scales,
                               const CodeMoveOptions& options,
                               double reach) {
  const std::int64_t changed = MoveCodes(Decode(codebooks, scales),
                                         step.contiguous(),
                                         curvature.contiguous(),
                                         codebooks,
                                         scales,
                                         options,
                                         reach,
                                         codes_);
  if (changed > 0) {
    Adopt();
  }
  return changed;
}

at::Tensor LinearCodes::Places(std::int64_t m) const {
  return codes_.select(2, m).reshape({-1}).to(at::kLong);
}

bool LinearCodes::TakenByLoops(const at::Tensor& values) const {
  return values.is_cpu() && values.scalar_type() == at::kFloat;
}

bool LinearCodes::TakenByDevice(const at::Tensor& values) const {
  return on_device_.IsBuilt() && values.scalar_type() == at::kFloat;
}

at::Tensor LinearCodes::Decode(const at::Tensor& codebooks, const at::Tensor& scales) const {
  const std::int64_t width = shape_.I * shape_.g;
  if (TakenByLoops(codebooks)) {
    at::Tensor out = at::empty({shape_.O, width}, codebooks.options());
    kernels::Dequantize({.shape = shape_,
                         .codes = codes_.data_ptr<std::int32_t>(),
                         .codebooks = codebooks.data_ptr<float>(),
                         .scales = scales.data_ptr<float>(),
                         .out = out.data_ptr<float>(),
                         .threads = 1});
    return out;
  }
  if (TakenByDevice(codebooks)) {
    return on_device_.Decode(codebooks, scales);
  }
  at::Tensor sum;
  for (std::int64_t m = 0; m < shape_.M; ++m) {
    const at::Tensor part =
        at::embedding(codebooks.select(0, m).view({shape_.K, shape_.g}), Places(m));
    sum = m == 0 ? part : sum + part;
  }
  return sum.view({shape_.O, width}) * scales.view({shape_.O, 1});
}

void LinearCodes::Pull(const at::Tensor& weight_gradient,
                       const at::Tensor& codebooks,
                       const at::Tensor& scales,
                       at::Tensor* codebooks_gradient,
                       at::Tensor* scales_gradient) const {
  if (TakenByDevice(codebooks)) {
    on_device_.Pull(weight_gradient, codebooks, scales, codebooks_gradient, scales_gradient);
    return;
  }
  const at::Tensor unscaled = Decode(codebooks, at::ones_like(scales));
  *scales_gradient = (weight_gradient * unscaled).sum(1).view(scales.sizes());
  const at::Tensor x = (weight_gradient * scales.view({shape_.O, 1})).contiguous();
  *codebooks_gradient = at::empty(codebooks.sizes(), codebooks.options());
  if (TakenByLoops(codebooks)) {
    kernels::CodebookGradient({.index = &index_,
                               .x = x.data_ptr<float>(),
                               .out = codebooks_gradient->data_ptr<float>(),
                               .threads = 1});
    return;
  }
  const at::Tensor groups = x.view({shape_.O * shape_.I, shape_.g});
  for (std::int64_t m = 0; m < shape_.M; ++m) {
    // On a GPU without kernels of ours this sorts by entry and sums in that order; index_add would race.
    codebooks_gradient->select(0, m).copy_(
        at::embedding_dense_backward(groups, Places(m), shape_.K, -1, false).unsqueeze(1));
  }
}

}  // namespace bitsweep::engine
