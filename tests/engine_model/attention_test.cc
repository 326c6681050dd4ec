#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "worker/engine/model/llama.h"

namespace bitsweep::engine {
namespace {

// The whole matrix of scores at once.
at::Tensor PlainAttention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  const std::int64_t group = q.size(1) / k.size(1);
  const at::Tensor scores = at::matmul(q, k.repeat_interleave(group, 1).transpose(2, 3)) /
                            std::sqrt(static_cast<double>(q.size(3)));
  const at::Tensor future = at::ones({q.size(2), q.size(2)}, at::kBool).triu(1);
  return at::matmul(
      at::softmax(scores.masked_fill(future, -std::numeric_limits<float>::infinity()), -1),
      v.repeat_interleave(group, 1));
}

TEST(AttentionTest, EqualsTheWholeMatrix) {
  for (const std::int64_t length : {1, 2, 31, 64}) {
    const at::Tensor q = at::randn({2, 6, length, 8});
    const at::Tensor k = at::randn({2, 3, length, 8});
    const at::Tensor v = at::randn({2, 3, length, 8});
    EXPECT_TRUE(at::allclose(CausalAttention(q, k, v), PlainAttention(q, k, v), 1e-4, 1e-5))
        << length;
  }
}

TEST(AttentionTest, LongSequencesGoInChunksWithTheSameResult) {
  // 8 heads x 2100 x 2100 scores are 35 million: more than one chunk of 16 Mi.
  const at::Tensor q = at::randn({1, 8, 2100, 4});
  const at::Tensor k = at::randn({1, 8, 2100, 4});
  const at::Tensor v = at::randn({1, 8, 2100, 4});
  EXPECT_TRUE(at::allclose(CausalAttention(q, k, v), PlainAttention(q, k, v), 1e-4, 1e-5));
}

}  // namespace
}  // namespace bitsweep::engine
