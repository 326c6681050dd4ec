// H = X^T X / n for the inputs of a block's linears: what the layer objective <dW H, dW> needs of
// the calibration data (arXiv 2401.06118, section 3.1). Numbers: products and sums inside a chunk
// of at most kChunkTokensMax tokens are f32, sums over chunks f64; tests hold the result against
// f64 throughout. On a GPU half-precision inputs are multiplied by tf32 matrix instructions, which
// hold them and their products exactly. Thread rule: distinct objects are independent; BlockStatistics has one owner,
// which adds chunks in their order, so that H does not depend on who computed which chunk.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include <ATen/core/Tensor.h>

#include "worker/engine/model/llama.h"

namespace bitsweep::engine {

/// Tokens that may share one f32 sum.
inline constexpr std::int64_t kChunkTokensMax = 4096;

/// The four distinct inputs of a block's seven linears: of q, k, v; of o; of gate, up; of down.
inline constexpr std::size_t kTapCount = 4;

/// One chunk's sums of x x^T, [in, in] f32 each.
class ChunkProducts {
 public:
  /// Every tap [..., in]. Throws kBug beyond kChunkTokensMax tokens.
  void Add(const BlockTaps& taps);
  std::int64_t tokens() const { return tokens_; }
  const at::Tensor& product(std::size_t tap) const { return products_[tap]; }

 private:
  std::array<at::Tensor, kTapCount> products_;
  std::int64_t tokens_ = 0;
};

class BlockStatistics {
 public:
  void Add(const ChunkProducts& chunk);
  std::int64_t tokens() const { return tokens_; }
  /// H of one of ModelConfig::LinearNames(): [in, in] f32 on the taps' device, exactly symmetric; q, k, v
  /// share one tensor, gate and up another. Throws kBug when nothing was added.
  at::Tensor Xtx(const std::string& linear);

 private:
  std::array<at::Tensor, kTapCount> sums_;   // f64
  std::array<at::Tensor, kTapCount> means_;  // f32, made when asked for
  std::int64_t tokens_ = 0;
};

}  // namespace bitsweep::engine
