// Linears kept as codes on a device, for a decoder whose expanded weights would not fit: what the
// ops `codebook_matvec` and `codebook_expand` read. Thread rule: loading: any thread; values are
// immutable.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "worker/engine/checkpoint/checkpoint.h"
#include "worker/kernels/codebook_expand.h"
#include "worker/kernels/codebook_matvec.h"

namespace bitsweep::engine {

/// One linear; the layouts are those of kernels::CodebookMatrix.
struct CodedLinear {
  at::Tensor codes;   // [M, O, stride] i8 or i16, as stored
  at::Tensor table;   // [M, K, g] f16
  at::Tensor slices;  // [g/d, M, K, d] f16: `table` itself where d is g or there is no matvec
  at::Tensor scales;  // [O] f32
};

/// Linears of one input that are multiplied together: q, k and v, say.
struct CodedProduct {
  kernels::CodebookShape shape;
  std::vector<CodedLinear> parts;  // Empty: the weights are dense.

  bool defined() const { return !parts.empty(); }
  /// Whether codebook_matvec knows the shape.
  bool has_matvec() const { return kernels::PlanCodebookMatvec(shape).slice > 0; }
  std::int64_t rows() const;
  std::int64_t columns() const { return shape.I * shape.g; }
  kernels::CodebookMatvecArgs MatvecArgs(kernels::Element element) const;
  kernels::CodebookExpandArgs ExpandArgs(kernels::Element element) const;
};

/// The products of one block.
struct BlockCodes {
  CodedProduct qkv, o, gate_up, down;
};

/// Names of the linears of each product of a block, in the order of BlockCodes's members.
const std::vector<std::vector<std::string>>& ProductNames();

kernels::CodebookShape CodebookShapeOf(const AqlmConfig& config, std::int64_t columns);

/// codes [O, I, M] as stored (CodesToStored), codebooks [M, K, 1, g] of f16 values, scales of O
/// elements -> on `device`.
CodedLinear MakeCodedLinear(const kernels::CodebookShape& shape,
                            const at::Tensor& codes,
                            const at::Tensor& codebooks,
                            const at::Tensor& scales,
                            at::Device device);

/// Whether all linears of `names` (of one product of layer `layer`) are quantized, with codebooks
/// stored in f16: then they can be kept as codes.
bool CanKeepCodes(const Checkpoint& checkpoint,
                  std::int64_t layer,
                  const std::vector<std::string>& names);

/// The product's linears from the files. REQUIRES: CanKeepCodes. Throws kBadInput on codes out of
/// range.
CodedProduct LoadCodedProduct(const Checkpoint& checkpoint,
                              std::int64_t layer,
                              const std::vector<std::string>& names,
                              at::Device device);

CodedProduct CopyTo(const CodedProduct& product, at::Device device);

/// What one linear [O, I*g] takes on a device.
std::int64_t CodedBytes(const kernels::CodebookShape& shape, std::int64_t rows);

/// What a checkpoint's weights take on a device in each form, and the largest product that has to
/// be expanded (elements of `dtype`), which a decoder keeps room for.
struct WeightBytes {
  std::int64_t expanded = 0;
  std::int64_t coded = 0;    // Linears that cannot be kept as codes count expanded.
  std::int64_t scratch = 0;  // Beside `coded`.
  std::int64_t coded_linears = 0;
};
WeightBytes WeightBytesOf(const Checkpoint& checkpoint, at::ScalarType dtype);

}  // namespace bitsweep::engine
