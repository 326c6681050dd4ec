// A model folder in Hugging Face's layout: config.json, one or several safetensors files with an
// index, plain f16/bf16/f32 weights or AQLM linears (.codes or .codes_packed, .codebooks, .scales).
// Memory-mapped; weights are materialised only when asked for. Thread rule: immutable after Open,
// any thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "worker/engine/checkpoint/model_config.h"
#include "worker/engine/checkpoint/safetensors.h"

namespace bitsweep::engine {

/// Weight files of a packed checkpoint carry this prefix, and so does their index.
inline constexpr const char* kPackedPrefix = "packed-";
inline constexpr const char* kIndexFileName = "model.safetensors.index.json";
inline constexpr const char* kPackedIndexFileName = "packed-model.safetensors.index.json";

/// One AQLM linear. W[o, g*j : g*j+g] = scales[o] * sum_m codebooks[m][codes[o, j, m]] (arXiv
/// 2401.06118, section 3).
struct QuantizedLinear {
  at::Tensor codes;      // [O, I, M] i32 in [0, K)
  at::Tensor codebooks;  // [M, K, 1, g] f32 (f16 values when read from a file)
  at::Tensor scales;     // [O, 1, 1, 1] f32
};

/// -> [O, I*g] f32 on the CPU: the plain definition. Throws kBadInput on shapes or codes that do
/// not fit.
at::Tensor Dequantize(const QuantizedLinear& linear);

/// codes i32 in [0, K) -> the stored two's-complement form: int8 where B <= 8, else int16 (a code
/// >= 2^(B-1) is stored minus 2^B), and back.
at::Tensor CodesToStored(const at::Tensor& codes, int codebook_bits);
at::Tensor CodesFromStored(const at::Tensor& stored, int codebook_bits);

class Checkpoint {
 public:
  /// Opens the folder and checks that every tensor that the config implies is there with the right
  /// shape. Throws kBadInput: names a missing shard with the index that asks for it, a missing or
  /// misshaped tensor.
  static std::shared_ptr<const Checkpoint> Open(const std::string& dir);

  const std::string& dir() const { return dir_; }
  const ModelConfig& config() const { return config_; }
  bool Has(const std::string& name) const { return where_.count(name) != 0; }
  /// Every tensor's name -> the file that holds it.
  const std::map<std::string, std::shared_ptr<const SafetensorsFile>>& tensors() const {
    return where_;
  }
  /// As stored (mapped). Throws kBadInput when absent.
  at::Tensor Get(const std::string& name) const;
  /// "model.layers.3.self_attn.q_proj" has codes here rather than a weight.
  bool IsQuantized(const std::string& prefix) const {
    return Has(prefix + ".codes") || Has(prefix + ".codes_packed");
  }
  /// Codes are unpacked where the checkpoint is packed.
  QuantizedLinear GetQuantized(const std::string& prefix) const;
  /// The dense weight [out, in] of a linear, plain or dequantized, as f32 on the CPU.
  at::Tensor LinearWeight(const std::string& prefix) const;
  /// Names of weight files relative to dir(), sorted.
  std::vector<std::string> WeightFiles() const;

 private:
  Checkpoint() = default;
  std::string dir_;
  ModelConfig config_;
  std::map<std::string, std::shared_ptr<const SafetensorsFile>> where_;
};

}  // namespace bitsweep::engine
