#include "worker/engine/finetune/device_mixture.h"

#include <ATen/ATen.h>

#include "worker/engine/check_kernel.h"
#include "worker/engine/device_stream.h"
#include "worker/kernels/codebook_gradient.h"

#if defined(BITSWEEP_CUDA)
#include <c10/core/DeviceGuard.h>
#endif

namespace bitsweep::engine {

std::int64_t DeviceMixture::Bytes() const {
  return IsBuilt() ? 4 * (positions_.numel() + begins_.numel()) : 0;
}

#if defined(BITSWEEP_CUDA)

namespace {

// Every alternative of every group is a point of its own.
kernels::CodeShape PointShape(const kernels::CodeShape& shape, std::int64_t alternatives) {
  kernels::CodeShape points = shape;
  points.O = shape.O * shape.I * alternatives;
  points.I = 1;
  return points;
}

}  // namespace

void DeviceMixture::Build(const kernels::CodeShape& shape,
                          const at::Tensor& alternatives,
                          const at::Tensor& logits) {
  const c10::DeviceGuard guard(alternatives.device());
  shape_ = shape;
  alternatives_ = alternatives;
  logits_ = logits;
  const kernels::CodeShape points = PointShape(shape_, alternatives_.size(1));
  begins_ = at::empty({points.M, points.K + 1}, alternatives_.options());
  positions_ = at::empty({points.M, points.O}, alternatives_.options());
  const at::Tensor workspace = at::empty({kernels::CodeIndexWorkspaceBytes(points)},
                                         alternatives_.options().dtype(at::kByte));
  CheckKernel(kernels::BuildCodeIndexCuda({.shape = points,
                                           .begins = begins_.data_ptr<std::int32_t>(),
                                           .positions = positions_.data_ptr<std::int32_t>()},
                                          alternatives_.data_ptr<std::int32_t>(),
                                          workspace.data_ptr(),
                                          StreamOf(alternatives_)),
              "index of alternatives");
}

kernels::CodeMixture DeviceMixture::Mixture(const at::Tensor& codebooks,
                                            const at::Tensor& scales,
                                            double temperature) const {
  return {.shape = shape_,
          .T = alternatives_.size(1),
          .alternatives = alternatives_.data_ptr<std::int32_t>(),
          .logits = logits_.data_ptr<float>(),
          .temperature = static_cast<float>(temperature),
          .codebooks = codebooks.data_ptr<float>(),
          .scales = scales.data_ptr<float>()};
}

at::Tensor DeviceMixture::Decode(const at::Tensor& codebooks,
                                 const at::Tensor& scales,
                                 double temperature) const {
  const c10::DeviceGuard guard(alternatives_.device());
  at::Tensor out = at::empty({shape_.O, shape_.I * shape_.g}, codebooks.options());
  CheckKernel(
      kernels::MixCodesCuda(
          Mixture(codebooks, scales, temperature), out.data_ptr<float>(), StreamOf(alternatives_)),
      "mixture of codes");
  return out;
}

void DeviceMixture::Pull(const at::Tensor& weight_gradient,
                         const at::Tensor& codebooks,
                         const at::Tensor& scales,
                         double temperature,
                         at::Tensor* codebooks_gradient,
                         at::Tensor* scales_gradient,
                         at::Tensor* logits_gradient) const {
  const c10::DeviceGuard guard(alternatives_.device());
  const at::Tensor slope = weight_gradient.contiguous();
  const at::Tensor entry_scales = at::empty_like(logits_);
  const at::Tensor dots = at::empty({shape_.O, shape_.I}, slope.options());
  *logits_gradient = at::empty_like(logits_);
  CheckKernel(kernels::PullMixtureCuda(Mixture(codebooks, scales, temperature),
                                       slope.data_ptr<float>(),
                                       {.entry_scales = entry_scales.data_ptr<float>(),
                                        .dots = dots.data_ptr<float>(),
                                        .logits = logits_gradient->data_ptr<float>()},
                                       StreamOf(alternatives_)),
              "gradient of a mixture");
  *scales_gradient = dots.sum(1).view(scales.sizes());
  *codebooks_gradient = at::empty(codebooks.sizes(), codebooks.options());
  const std::int64_t alternatives = alternatives_.size(1);
  CheckKernel(kernels::CodebookGradientCuda({.shape = PointShape(shape_, alternatives),
                                             .begins = begins_.data_ptr<std::int32_t>(),
                                             .positions = positions_.data_ptr<std::int32_t>(),
                                             .copies = static_cast<std::int32_t>(alternatives)},
                                            slope.data_ptr<float>(),
                                            entry_scales.data_ptr<float>(),
                                            codebooks_gradient->data_ptr<float>(),
                                            StreamOf(alternatives_)),
              "codebook gradient of a mixture");
}

#else

void DeviceMixture::Build(const kernels::CodeShape& /*shape*/,
                          const at::Tensor& /*alternatives*/,
                          const at::Tensor& /*logits*/) {
  ThrowWithoutKernels("mixtures of codes on a device");
}

kernels::CodeMixture DeviceMixture::Mixture(const at::Tensor& /*codebooks*/,
                                            const at::Tensor& /*scales*/,
                                            double /*temperature*/) const {
  ThrowWithoutKernels("mixtures of codes on a device");
}

at::Tensor DeviceMixture::Decode(const at::Tensor& /*codebooks*/,
                                 const at::Tensor& /*scales*/,
                                 double /*temperature*/) const {
  ThrowWithoutKernels("mixtures of codes on a device");
}

void DeviceMixture::Pull(const at::Tensor& /*weight_gradient*/,
                         const at::Tensor& /*codebooks*/,
                         const at::Tensor& /*scales*/,
                         double /*temperature*/,
                         at::Tensor* /*codebooks_gradient*/,
                         at::Tensor* /*scales_gradient*/,
                         at::Tensor* /*logits_gradient*/) const {
  ThrowWithoutKernels("mixtures of codes on a device");
}

#endif

}  // namespace bitsweep::engine
