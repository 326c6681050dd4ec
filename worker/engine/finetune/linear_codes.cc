#include "worker/engine/finetune/linear_codes.h"

#include <vector>

#include <ATen/ATen.h>

namespace bitsweep::engine {
namespace {

constexpr double kScaleFloor = 1e-12;

}  // namespace

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
  BuildIndex();
}

void LinearCodes::BuildIndex() {
  if (codes_.is_cpu()) {
    index_.Build(shape_, codes_.data_ptr<std::int32_t>(), 1);
  } else if (DeviceCodes::Serves(shape_, codes_.device())) {
    on_device_.Build(shape_, codes_);
  }
}

void LinearCodes::Adopt(const at::Tensor& codes) {
  if (codes_.is_cpu() && at::equal(codes_, codes)) {
    return;  // The index is of these.
  }
  codes_.copy_(codes);
  BuildIndex();
}

at::Tensor LinearCodes::Offer(const at::Tensor& weight,
                              const at::Tensor& codebooks,
                              const at::Tensor& scales,
                              const CodeChoiceOptions& options) {
  const at::Tensor by_row = scales.view({shape_.O, 1});
  // A row whose scale says nothing has no target either.
  const at::Tensor divisor = at::where(by_row.abs() < kScaleFloor, at::ones_like(by_row), by_row);
  CodeAlternatives found =
      FindAlternatives((weight.to(codebooks.options()) / divisor).view({-1, shape_.g}),
                       codes_.view({-1, shape_.M}).to(at::kLong),
                       codebooks.view({shape_.M, shape_.K, shape_.g}),
                       options);
  before_ = codes_.clone();
  alternatives_ = found.codes;
  logits_ = found.logits.view({shape_.O, shape_.I, -1}).contiguous();
  if (TakenByDevice(codebooks)) {
    alternatives_ = alternatives_.contiguous();
    mixture_.Build(shape_, alternatives_, logits_);
  }
  return logits_;
}

void LinearCodes::Settle() {
  temperature_ = 0.0;
  const at::Tensor at = logits_.view({-1, logits_.size(2)}).argmax(1).view({-1, 1, 1});
  Adopt(alternatives_.gather(1, at.expand({-1, 1, shape_.M})).view(codes_.sizes()));
}

void LinearCodes::Restore() {
  temperature_ = 0.0;
  Adopt(before_);
}

std::int64_t LinearCodes::Bytes() const {
  const std::int64_t with_index = codes_.is_cpu() || on_device_.IsBuilt() ? 2 : 1;
  const std::int64_t offered =
      alternatives_.defined() ? alternatives_.numel() + before_.numel() : 0;
  return 4 * (codes_.numel() * with_index + offered) + mixture_.Bytes();
}

at::Tensor LinearCodes::Shares() const {
  return at::softmax(logits_.view({-1, logits_.size(2)}) / temperature_, 1);
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
  if (IsMixed() && mixture_.IsBuilt()) {
    return mixture_.Decode(codebooks, scales, temperature_);
  }
  if (IsMixed()) {
    return Mix(alternatives_, Shares(), codebooks.view({shape_.M, shape_.K, shape_.g}))
               .view({shape_.O, width}) *
           scales.view({shape_.O, 1});
  }
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
                       at::Tensor* scales_gradient,
                       at::Tensor* logits_gradient) const {
  if (IsMixed() && mixture_.IsBuilt()) {
    at::Tensor unasked;
    mixture_.Pull(weight_gradient,
                  codebooks,
                  scales,
                  temperature_,
                  codebooks_gradient,
                  scales_gradient,
                  logits_gradient == nullptr ? &unasked : logits_gradient);
    return;
  }
  if (!IsMixed() && TakenByDevice(codebooks)) {
    on_device_.Pull(weight_gradient, codebooks, scales, codebooks_gradient, scales_gradient);
    if (logits_gradient != nullptr) {
      *logits_gradient = at::zeros_like(logits_);
    }
    return;
  }
  const at::Tensor unscaled = Decode(codebooks, at::ones_like(scales));
  *scales_gradient = (weight_gradient * unscaled).sum(1).view(scales.sizes());
  const at::Tensor x = (weight_gradient * scales.view({shape_.O, 1})).contiguous();
  if (IsMixed()) {
    const at::Tensor shares = Shares();
    at::Tensor by_books, by_shares;
    PullMix(alternatives_,
            shares,
            codebooks.view({shape_.M, shape_.K, shape_.g}),
            x.view({-1, shape_.g}),
            &by_books,
            &by_shares);
    *codebooks_gradient = by_books.view(codebooks.sizes());
    if (logits_gradient != nullptr) {
      const at::Tensor mean = (shares * by_shares).sum(1, /*keepdim=*/true);
      *logits_gradient = (shares * (by_shares - mean)).div_(temperature_).view(logits_.sizes());
    }
    return;
  }
  if (logits_gradient != nullptr) {
    *logits_gradient = at::zeros_like(logits_);
  }
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
    // On a GPU without kernels of ours this sorts by entry and sums in that order; index_add would
    // race.
    codebooks_gradient->select(0, m).copy_(
        at::embedding_dense_backward(groups, Places(m), shape_.K, -1, false).unsqueeze(1));
  }
}

}  // namespace bitsweep::engine
