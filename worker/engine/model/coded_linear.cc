#include "worker/engine/model/coded_linear.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "worker/engine/error.h"

namespace bitsweep::engine {
namespace {

std::string PrefixOf(std::int64_t layer, const std::string& name) {
  return "model.layers." + std::to_string(layer) + "." + name;
}

std::int64_t SliceOf(const kernels::CodebookShape& shape) {
  const std::int64_t slice = kernels::PlanCodebookMatvec(shape).slice;
  return slice > 0 ? slice : shape.g;
}

template <typename Args>
Args ArgsOf(const CodedProduct& product, kernels::Element element) {
  if (product.parts.size() > kernels::kCodebookPartsMax) {
    throw EngineError(FailureClass::kBug, "a product of more than three linears");
  }
  Args args;
  args.element = element;
  args.shape = product.shape;
  args.count = static_cast<int>(product.parts.size());
  for (std::size_t i = 0; i < product.parts.size(); ++i) {
    const CodedLinear& part = product.parts[i];
    args.parts[i] = {part.codes.size(1),
                     part.codes.data_ptr(),
                     part.table.data_ptr(),
                     part.slices.data_ptr(),
                     part.scales.data_ptr<float>()};
  }
  return args;
}

}  // namespace

std::int64_t CodedProduct::rows() const {
  std::int64_t rows = 0;
  for (const CodedLinear& part : parts) {
    rows += part.codes.size(1);
  }
  return rows;
}

kernels::CodebookMatvecArgs CodedProduct::MatvecArgs(kernels::Element element) const {
  return ArgsOf<kernels::CodebookMatvecArgs>(*this, element);
}

kernels::CodebookExpandArgs CodedProduct::ExpandArgs(kernels::Element element) const {
  return ArgsOf<kernels::CodebookExpandArgs>(*this, element);
}

const std::vector<std::vector<std::string>>& ProductNames() {
  static const std::vector<std::vector<std::string>> kNames = {
      {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"},
      {"self_attn.o_proj"},
      {"mlp.gate_proj", "mlp.up_proj"},
      {"mlp.down_proj"}};
  return kNames;
}

kernels::CodebookShape CodebookShapeOf(const AqlmConfig& config, std::int64_t columns) {
  kernels::CodebookShape shape;
  shape.I = columns / config.group_size;
  shape.M = config.codebooks;
  shape.g = config.group_size;
  shape.bits = config.codebook_bits;
  return shape;
}

CodedLinear MakeCodedLinear(const kernels::CodebookShape& shape,
                            const at::Tensor& codes,
                            const at::Tensor& codebooks,
                            const at::Tensor& scales,
                            at::Device device) {
  const std::int64_t rows = codes.size(0);
  const std::int64_t slice = SliceOf(shape);
  CodedLinear linear;
  // Padding is code 0, which meets inputs of 0.
  const at::Tensor padded = at::zeros({shape.M, rows, shape.stride()}, codes.options());
  padded.narrow(2, 0, shape.I).copy_(codes.permute({2, 0, 1}));
  linear.codes = padded.to(device);
  linear.table =
      codebooks.to(at::kHalf).reshape({shape.M, shape.K(), shape.g}).contiguous().to(device);
  linear.slices = slice == shape.g ? linear.table
                                   : linear.table.view({shape.M, shape.K(), shape.g / slice, slice})
                                         .permute({2, 0, 1, 3})
                                         .contiguous();
  linear.scales = scales.to(at::kFloat).reshape({rows}).contiguous().to(device);
  return linear;
}

bool CanKeepCodes(const Checkpoint& checkpoint,
                  std::int64_t layer,
                  const std::vector<std::string>& names) {
  return checkpoint.config().aqlm &&
         std::all_of(names.begin(), names.end(), [&](const std::string& name) {
           const std::string prefix = PrefixOf(layer, name);
           return checkpoint.IsQuantized(prefix) &&
                  checkpoint.Get(prefix + ".codebooks").scalar_type() == at::kHalf;
         });
}

CodedProduct LoadCodedProduct(const Checkpoint& checkpoint,
                              std::int64_t layer,
                              const std::vector<std::string>& names,
                              at::Device device) {
  const AqlmConfig& aqlm = *checkpoint.config().aqlm;
  CodedProduct product;
  for (const std::string& name : names) {
    product.shape = CodebookShapeOf(aqlm, checkpoint.config().LinearShape(name).second);
    const QuantizedLinear linear = checkpoint.GetQuantized(PrefixOf(layer, name));
    product.parts.push_back(MakeCodedLinear(product.shape,
                                            CodesToStored(linear.codes, aqlm.codebook_bits),
                                            linear.codebooks,
                                            linear.scales,
                                            device));
  }
  return product;
}

CodedProduct CopyTo(const CodedProduct& product, at::Device device) {
  CodedProduct copy = product;
  for (CodedLinear& part : copy.parts) {
    const bool one_table = part.slices.is_same(part.table);
    part.codes = part.codes.to(device);
    part.table = part.table.to(device);
    part.slices = one_table ? part.table : part.slices.to(device);
    part.scales = part.scales.to(device);
  }
  return copy;
}

std::int64_t CodedBytes(const kernels::CodebookShape& shape, std::int64_t rows) {
  const std::int64_t tables = SliceOf(shape) == shape.g ? 1 : 2;
  return rows * shape.stride() * shape.M * shape.code_bytes() +
         tables * shape.M * shape.K() * shape.g * 2 + rows * 4;
}

WeightBytes WeightBytesOf(const Checkpoint& checkpoint, at::ScalarType dtype) {
  const ModelConfig& config = checkpoint.config();
  const auto element = static_cast<std::int64_t>(c10::elementSize(dtype));
  WeightBytes bytes;
  bytes.expanded =
      (config.tie_word_embeddings ? 1 : 2) * config.vocab_size * config.hidden_size * element;
  bytes.coded = bytes.expanded;
  for (std::int64_t layer = 0; layer < config.num_layers; ++layer) {
    for (const std::vector<std::string>& names : ProductNames()) {
      const bool coded = CanKeepCodes(checkpoint, layer, names);
      std::int64_t expanded = 0;
      for (const std::string& name : names) {
        const auto [rows, columns] = config.LinearShape(name);
        expanded += rows * columns * element;
        bytes.coded += coded ? CodedBytes(CodebookShapeOf(*config.aqlm, columns), rows)
                             : rows * columns * element;
        bytes.coded_linears += coded ? 1 : 0;
      }
      bytes.expanded += expanded;
      bytes.scratch = std::max(bytes.scratch, coded ? expanded : 0);
    }
  }
  return bytes;
}

}  // namespace bitsweep::engine
