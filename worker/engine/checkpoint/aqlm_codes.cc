// Codes of an AQLM linear: their stored form and their meaning (declared in checkpoint.h).
#include <ATen/ATen.h>

#include "worker/engine/checkpoint/checkpoint.h"
#include "worker/engine/error.h"

namespace bitsweep::engine {
namespace {

std::string ShapeText(const at::Tensor& tensor) {
  std::string text = "[";
  for (const std::int64_t size : tensor.sizes()) {
    text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  }
  return text + "]";
}

void CheckBits(int codebook_bits) {
  if (codebook_bits < 1 || codebook_bits > 16) {
    ThrowBadInput("codebook bits " + std::to_string(codebook_bits) + ": want 1 to 16");
  }
}

void CheckRange(const at::Tensor& codes, std::int64_t codebook_size) {
  if (codes.numel() == 0) {
    return;
  }
  const std::int64_t least = codes.min().item<std::int64_t>();
  const std::int64_t greatest = codes.max().item<std::int64_t>();
  if (least < 0 || greatest >= codebook_size) {
    ThrowBadInput("codes reach from " + std::to_string(least) + " to " + std::to_string(greatest) +
                  ", want [0, " + std::to_string(codebook_size) + ")");
  }
}

}  // namespace

at::Tensor CodesToStored(const at::Tensor& codes, int codebook_bits) {
  CheckBits(codebook_bits);
  const std::int64_t codebook_size = std::int64_t{1} << codebook_bits;
  const at::Tensor wide = codes.to(at::kInt);
  CheckRange(wide, codebook_size);
  const at::Tensor wrapped = at::where(wide.ge(codebook_size / 2), wide - codebook_size, wide);
  return wrapped.to(codebook_bits <= 8 ? at::kChar : at::kShort);
}

at::Tensor CodesFromStored(const at::Tensor& stored, int codebook_bits) {
  CheckBits(codebook_bits);
  const std::int64_t codebook_size = std::int64_t{1} << codebook_bits;
  const at::Tensor wide = stored.to(at::kInt);
  const at::Tensor codes = at::where(wide.lt(0), wide + codebook_size, wide).to(at::kInt);
  CheckRange(codes, codebook_size);
  return codes;
}

at::Tensor Dequantize(const QuantizedLinear& linear) {
  const at::Tensor& codes = linear.codes;
  const at::Tensor& codebooks = linear.codebooks;
  const at::Tensor& scales = linear.scales;
  if (codes.dim() != 3 || codebooks.dim() != 4 || scales.dim() != 4 ||
      codebooks.size(0) != codes.size(2) || codebooks.size(2) != 1 ||
      scales.size(0) != codes.size(0) || scales.numel() != scales.size(0)) {
    ThrowBadInput("AQLM linear: codes " + ShapeText(codes) + ", codebooks " + ShapeText(codebooks) +
                  ", scales " + ShapeText(scales) +
                  " do not fit [O, I, M], [M, K, 1, g], [O, 1, 1, 1]");
  }
  const std::int64_t rows = codes.size(0);
  const std::int64_t groups = codes.size(1);
  const std::int64_t codebook_size = codebooks.size(1);
  const std::int64_t group_size = codebooks.size(3);
  const at::Tensor cpu_codes = codes.to(at::kCPU);
  CheckRange(cpu_codes, codebook_size);
  at::Tensor sum = at::zeros({rows * groups, group_size}, at::kFloat);
  for (std::int64_t m = 0; m < codes.size(2); ++m) {
    const at::Tensor codebook =
        codebooks.select(0, m).to(at::kCPU, at::kFloat).reshape({codebook_size, group_size});
    const at::Tensor index = cpu_codes.select(2, m).reshape({-1}).to(at::kLong);
    sum += codebook.index_select(0, index);
  }
  return sum.reshape({rows, groups * group_size}) *
         scales.to(at::kCPU, at::kFloat).reshape({rows, 1});
}

}  // namespace bitsweep::engine
