// H = X^T X / n for the inputs of a block's linears: what the layer objective <dW H, dW> needs of
// the calibration data (arXiv 2401.06118, section 3.1). Thread rule: one thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "worker/engine/model/llama.h"

namespace bitsweep::engine {

/// The sum of x x^T over tokens. Products of one chunk are f32, sums over chunks f64.
class XtxSum {
 public:
  /// x [..., in]; at most kChunkTokensMax rows go into one f32 product.
  void Add(const at::Tensor& x);
  std::int64_t tokens() const { return tokens_; }
  /// [in, in] f32 on the CPU, exactly symmetric. Throws kBug when nothing was added.
  at::Tensor Mean() const;

  static constexpr std::int64_t kChunkTokensMax = 4096;

 private:
  at::Tensor sum_;  // [in, in] f64
  std::int64_t tokens_ = 0;
};

/// The four distinct inputs of a block's seven linears.
class BlockStatistics {
 public:
  void Add(const BlockTaps& taps);
  /// H of one of ModelConfig::LinearNames(); q, k, v share one tensor, gate and up another.
  at::Tensor Xtx(const std::string& linear);

 private:
  static const char* GroupOf(const std::string& linear);
  std::map<std::string, XtxSum> sums_;
  std::map<std::string, at::Tensor> means_;
};

}  // namespace bitsweep::engine
