#include "worker/engine/finetune/device_codes.h"

#include <ATen/ATen.h>

#include "worker/engine/check_kernel.h"
#include "worker/engine/device_stream.h"

#if defined(BITSWEEP_CUDA)
#include <c10/core/DeviceGuard.h>
#endif

namespace bitsweep::engine {

#if defined(BITSWEEP_CUDA)

bool DeviceCodes::Serves(const kernels::CodeShape& shape, at::Device device) {
  if (!device.is_cuda() || shape.g != 8) {
    return false;
  }
  const c10::DeviceGuard guard(device);
  return kernels::DeviceSupported();
}

void DeviceCodes::Build(const kernels::CodeShape& shape, const at::Tensor& codes) {
  const c10::DeviceGuard guard(codes.device());
  shape_ = shape;
  codes_ = codes;
  begins_ = at::empty({shape.M, shape.K + 1}, codes.options());
  positions_ = at::empty({shape.M, shape.O * shape.I}, codes.options());
  const at::Tensor workspace =
      at::empty({kernels::CodeIndexWorkspaceBytes(shape)}, codes.options().dtype(at::kByte));
  CheckKernel(kernels::BuildCodeIndexCuda({.shape = shape_,
                                           .begins = begins_.data_ptr<std::int32_t>(),
                                           .positions = positions_.data_ptr<std::int32_t>()},
                                          codes_.data_ptr<std::int32_t>(),
                                          workspace.data_ptr(),
                                          StreamOf(codes_)),
              "code index");
}

at::Tensor DeviceCodes::Decode(const at::Tensor& codebooks, const at::Tensor& scales) const {
  const c10::DeviceGuard guard(codes_.device());
  at::Tensor out = at::empty({shape_.O, shape_.I * shape_.g}, codebooks.options());
  CheckKernel(kernels::DequantizeCuda({.shape = shape_,
                                       .codes = codes_.data_ptr<std::int32_t>(),
                                       .codebooks = codebooks.data_ptr<float>(),
                                       .scales = scales.data_ptr<float>(),
                                       .out = out.data_ptr<float>()},
                                      nullptr,
                                      StreamOf(codes_)),
              "dequantize");
  return out;
}

void DeviceCodes::Pull(const at::Tensor& weight_gradient,
                       const at::Tensor& codebooks,
                       const at::Tensor& scales,
                       at::Tensor* codebooks_gradient,
                       at::Tensor* scales_gradient) const {
  const c10::DeviceGuard guard(codes_.device());
  const at::Tensor slope = weight_gradient.contiguous();
  at::Tensor unscaled = Decode(codebooks, at::ones_like(scales));
  *scales_gradient = unscaled.mul_(slope).sum(1).view(scales.sizes());
  *codebooks_gradient = at::empty(codebooks.sizes(), codebooks.options());
  CheckKernel(kernels::CodebookGradientCuda({.shape = shape_,
                                             .begins = begins_.data_ptr<std::int32_t>(),
                                             .positions = positions_.data_ptr<std::int32_t>()},
                                            slope.data_ptr<float>(),
                                            scales.data_ptr<float>(),
                                            codebooks_gradient->data_ptr<float>(),
                                            StreamOf(codes_)),
              "codebook gradient");
}

#else

bool DeviceCodes::Serves(const kernels::CodeShape& /*shape*/, at::Device /*device*/) {
  return false;
}

void DeviceCodes::Build(const kernels::CodeShape& /*shape*/, const at::Tensor& /*codes*/) {
  ThrowWithoutKernels("codes on a device");
}

at::Tensor DeviceCodes::Decode(const at::Tensor& /*codebooks*/,
                               const at::Tensor& /*scales*/) const {
  ThrowWithoutKernels("codes on a device");
}

void DeviceCodes::Pull(const at::Tensor& /*weight_gradient*/,
                       const at::Tensor& /*codebooks*/,
                       const at::Tensor& /*scales*/,
                       at::Tensor* /*codebooks_gradient*/,
                       at::Tensor* /*scales_gradient*/) const {
  ThrowWithoutKernels("codes on a device");
}

#endif

}  // namespace bitsweep::engine
