// H = X^T X / n for the inputs of a block's linears: what the layer objective <dW H, dW> needs of
// the calibration data (arXiv 2401.06118, section 3.1). Numbers: products and sums inside a chunk
// of at most kChunkTokensMax tokens are f32, sums over chunks f64; tests hold the result against
// f64 throughout. On a GPU half-precision inputs are multiplied by tf32 matrix instructions, which
// hold them and their products exactly. The order of the sums is fixed: chunks in their order make
// a shard's sums, shards in their order the total, whoever computed which. Thread rule: distinct
// objects are independent; BlockStatistics takes one shard at a time, from any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include <ATen/core/Tensor.h>

#include "worker/engine/model/llama.h"

namespace bitsweep::engine {

/// Tokens that may share one f32 sum.
inline constexpr std::int64_t kChunkTokensMax = 4096;

/// The four distinct inputs of a block's seven linears: of q, k, v; of o; of gate, up; of down.
inline constexpr std::size_t kTapCount = 4;

/// Which of them a linear of ModelConfig::LinearNames() reads. Throws kBug on another name.
std::size_t TapOf(const std::string& linear);
/// Features of each.
std::array<std::int64_t, kTapCount> TapWidths(const ModelConfig& config);

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

/// The sums of one shard's chunks, [in, in] f64 each, on the device of the chunks.
class ShardSums {
 public:
  void Add(const ChunkProducts& chunk);
  std::int64_t tokens() const { return tokens_; }
  const at::Tensor& sum(std::size_t tap) const { return sums_[tap]; }

 private:
  std::array<at::Tensor, kTapCount> sums_;
  std::int64_t tokens_ = 0;
};

class BlockStatistics {
 public:
  /// Where each tap's H is made: the device of who needs it first. The CPU by default.
  using Homes = std::array<at::Device, kTapCount>;
  static Homes OnCpu() { return {at::kCPU, at::kCPU, at::kCPU, at::kCPU}; }
  explicit BlockStatistics(const Homes& homes = OnCpu()) : homes_(homes) {}

  /// Takes the shard's sums.
  void Add(ShardSums shard);
  std::int64_t tokens() const { return tokens_; }
  /// H of one of ModelConfig::LinearNames(): [in, in] f32 at the tap's home, exactly symmetric; q,
  /// k, v share one tensor, gate and up another. Throws kBug when nothing was added.
  at::Tensor Xtx(const std::string& linear);

 private:
  Homes homes_;
  std::array<at::Tensor, kTapCount> sums_;   // f64
  std::array<at::Tensor, kTapCount> means_;  // f32, made when asked for
  std::int64_t tokens_ = 0;
};

}  // namespace bitsweep::engine
