#include <atomic>

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "worker/engine/error.h"
#include "worker/engine/quantize/block_statistics.h"
#include "worker/engine/tasks.h"

namespace bitsweep::engine {
namespace {

BlockTaps Taps(std::int64_t tokens, std::int64_t seed) {
  at::manual_seed(static_cast<std::uint64_t>(seed));
  // Columns of very different sizes, as activations have them.
  const at::Tensor sizes = at::logspace(-2.0, 2.0, 24);
  return {.attention_input = at::randn({2, tokens / 2, 24}) * sizes + 0.3,
          .o_input = at::randn({2, tokens / 2, 24}),
          .mlp_input = at::randn({2, tokens / 2, 24}),
          .down_input = at::randn({2, tokens / 2, 40})};
}

TEST(BlockStatisticsTest, IsCloseToDoublePrecisionThroughout) {
  BlockStatistics statistics;
  ShardSums shard;  // Of two chunks.
  at::Tensor exact = at::zeros({24, 24}, at::kDouble);
  for (int chunk = 0; chunk < 6; ++chunk) {
    ChunkProducts products;
    for (int part = 0; part < 4; ++part) {
      const BlockTaps taps = Taps(1024, chunk * 4 + part);
      products.Add(taps);
      const at::Tensor x = taps.attention_input.reshape({-1, 24}).to(at::kDouble);
      exact += at::mm(x.t(), x);
    }
    shard.Add(products);
    if (chunk % 2 == 1) {
      statistics.Add(shard);
      shard = ShardSums();
    }
  }
  exact /= 6.0 * 4096.0;
  const at::Tensor h = statistics.Xtx("self_attn.k_proj");
  EXPECT_EQ(statistics.tokens(), 6 * 4096);
  EXPECT_TRUE(at::equal(h, h.t()));
  // Relative to the sizes of the two columns: what the objective sees.
  const at::Tensor size = exact.diag().sqrt();
  const at::Tensor error =
      (h.to(at::kDouble) - exact).abs() / (size.unsqueeze(0) * size.unsqueeze(1));
  EXPECT_LT(error.max().item<double>(), 2e-6);
}

TEST(BlockStatisticsTest, LinearsShareWhatTheyRead) {
  BlockStatistics statistics;
  ChunkProducts products;
  products.Add(Taps(16, 1));
  ShardSums shard;
  shard.Add(products);
  statistics.Add(shard);
  EXPECT_TRUE(statistics.Xtx("self_attn.q_proj").is_same(statistics.Xtx("self_attn.v_proj")));
  EXPECT_TRUE(statistics.Xtx("mlp.gate_proj").is_same(statistics.Xtx("mlp.up_proj")));
  EXPECT_EQ(statistics.Xtx("mlp.down_proj").size(0), 40);
  EXPECT_THROW(statistics.Xtx("mlp.left_proj"), EngineError);
}

TEST(BlockStatisticsTest, RefusesChunksTooLargeForOneSum) {
  ChunkProducts products;
  products.Add(Taps(4096, 1));
  EXPECT_THROW(products.Add(Taps(2, 1)), EngineError);
  BlockStatistics none;
  EXPECT_THROW(none.Xtx("mlp.up_proj"), EngineError);
}

TEST(RunTasksTest, RunsAllAndThrowsTheFailure) {
  std::atomic<int> ran{0};
  EXPECT_THROW(RunTasks(9,
                        3,
                        [&](std::int64_t i) {
                          ++ran;
                          if (i == 4) {
                            ThrowBadInput("four");
                          }
                        }),
               EngineError);
  EXPECT_EQ(ran, 9);
}

}  // namespace
}  // namespace bitsweep::engine
