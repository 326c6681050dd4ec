// How work is divided over devices, on the CPU several times over.
#include <algorithm>
#include <array>
#include <numeric>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "tests/engine_model/tiny_model.h"
#include "worker/engine/device_list.h"
#include "worker/engine/error.h"
#include "worker/engine/quantize/block_pass.h"
#include "worker/engine/quantize/linear_spread.h"
#include "worker/engine/quantize/sharded_sequences.h"

namespace bitsweep::engine {
namespace {

using ::testing::HasSubstr;

TEST(DeviceListTest, TheCpuIsOneDevice) {
  const std::vector<at::Device> cpu = DevicesOf({});
  ASSERT_EQ(cpu.size(), 1U);
  EXPECT_EQ(DeviceNames({at::kCPU, at::Device(at::kCUDA, 1)}), "cpu, cuda:1");
  try {
    DevicesOf({.device = "cpu", .dtype = "f32", .devices = 2});
    FAIL();
  } catch (const EngineError& error) {
    EXPECT_THAT(error.what(), HasSubstr("devices 2: this process sees 1 of device cpu"));
  }
}

TEST(DeviceListTest, AllTasksEndAndTheFirstDevicesFailureIsThrown) {
  std::array<bool, 3> ended{};
  try {
    RunOnDevices({at::kCPU, at::kCPU, at::kCPU}, [&](std::size_t device) {
      ended[device] = true;
      if (device > 0) {
        ThrowBadInput("device " + std::to_string(device));
      }
    });
    FAIL();
  } catch (const EngineError& error) {
    EXPECT_STREQ(error.what(), "device 1");
  }
  EXPECT_TRUE(ended[0] && ended[1] && ended[2]);
}

TEST(ShardedSequencesTest, ShardsAreWholeChunksInOrder) {
  for (const auto& [sequences, length] :
       {std::pair{1024, 4096}, {1000, 512}, {7, 90}, {191, 90}, {64, 8192}, {25, 4096}, {0, 16}}) {
    const auto shards = DivideIntoShards(sequences, length);
    const std::int64_t chunk = SequencesPerChunk(length);
    std::int64_t end = 0;
    for (const SequenceShard& shard : shards) {
      EXPECT_EQ(shard.begin, end);
      EXPECT_EQ(shard.begin % chunk, 0);
      EXPECT_GT(shard.count, 0);
      end += shard.count;
    }
    EXPECT_EQ(end, sequences);
    EXPECT_LE(static_cast<std::int64_t>(shards.size()), kShardsMax);
    EXPECT_EQ(SequencesOnDevice(shards, 0, 2) + SequencesOnDevice(shards, 1, 2), sequences);
  }
  EXPECT_EQ(DivideIntoShards(1024, 4096).size(), 24U);
}

TEST(ShardedSequencesTest, TheWholeIsInTheSetsOrder) {
  for (const std::size_t devices : {1U, 2U, 5U}) {
    const ShardedSequences set(
        std::vector<at::Device>(devices, at::kCPU), 100, 2048, 3, at::kFloat);
    for (std::size_t s = 0; s < set.shards().size(); ++s) {
      const SequenceShard& shard = set.shards()[s];
      set.Shard(s).copy_(at::arange(shard.begin, shard.begin + shard.count).view({-1, 1, 1}));
    }
    const at::Tensor whole = set.Whole();
    ASSERT_EQ(whole.sizes(), (at::IntArrayRef{100, 2048, 3}));
    EXPECT_TRUE(at::equal(whole.select(2, 1).select(1, 9), at::arange(100).to(at::kFloat)));
  }
}

ModelConfig Llama7B() {
  ModelConfig config;
  config.hidden_size = 4096;
  config.intermediate_size = 11008;
  config.num_heads = config.num_kv_heads = 32;
  config.head_dim = 128;
  return config;
}

TEST(LinearSpreadTest, LoadsAreEvenAndEveryLinearHasOneDevice) {
  const ModelConfig config = Llama7B();
  LinearQuantizeOptions options;
  options.codebooks = 1;
  options.codebook_bits = 15;
  for (const std::size_t devices : {1U, 2U, 3U, 8U}) {
    const LinearSpread spread = SpreadLinears(config, options, devices);
    std::vector<double> loads(devices, 0.0);
    std::set<std::size_t> linears;
    double dearest = 0.0;
    for (const LinearSpread::Work& work : spread.work) {
      const auto [out, in] = config.LinearShape(ModelConfig::LinearNames()[work.linear]);
      const double cost = LinearCost(out, in, options);
      loads.at(work.device) += cost;
      dearest = std::max(dearest, cost);
      linears.insert(work.linear);
    }
    EXPECT_EQ(linears.size(), 7U);
    const double even = std::accumulate(loads.begin(), loads.end(), 0.0) /
                        static_cast<double>(devices);
    EXPECT_LE(*std::max_element(loads.begin(), loads.end()), std::max(1.06 * even, dearest));
    EXPECT_EQ(spread.homes[TapOf("mlp.down_proj")], spread.work[0].device);
  }
}

TEST(LinearSpreadTest, CostsAreInProportionToWhatWasMeasured) {
  // tests/bench/README.md, "Every linear of a 7B model": seconds of the three shapes.
  struct Row {
    int codebooks, bits;
    std::array<double, 3> seconds;
  };
  for (const Row& row : {Row{1, 15, {0.510, 1.449, 2.583}},
                         {2, 12, {0.387, 0.972, 2.066}},
                         {2, 15, {0.827, 2.406, 3.361}},
                         {4, 15, {1.452, 3.974, 5.309}}}) {
    LinearQuantizeOptions options;
    options.codebooks = row.codebooks;
    options.codebook_bits = row.bits;
    const double square = LinearCost(4096, 4096, options);
    EXPECT_NEAR(LinearCost(11008, 4096, options) / square, row.seconds[1] / row.seconds[0], 0.3);
    EXPECT_NEAR(LinearCost(4096, 11008, options) / square, row.seconds[2] / row.seconds[0], 0.8);
  }
}

TinyShape OneBlock() {
  return {.hidden = 24, .intermediate = 40, .layers = 1, .heads = 6, .kv_heads = 2, .head_dim = 4};
}

// Shards whose products cancel but for a rest that a sum in another order rounds away: what is
// equal here was added in the shards' order.
TEST(BlockPassTest, StatisticsHaveTheSameBitsOnAnyNumberOfDevices) {
  const TinyModel model(OneBlock());
  const auto checkpoint = model.Open();
  ModelConfig config = checkpoint->config();
  config.rms_norm_eps = 1.0;  // Small tokens stay small.
  const auto of = [&](std::size_t devices) {
    const std::vector<at::Device> list(devices, at::kCPU);
    BlockReplicas block(config, 64, list, at::kFloat);
    block.Load(*checkpoint, 0);
    const ShardedSequences x(list, 5 * 64, 64, 24, at::kFloat);
    for (std::size_t s = 0; s < x.shards().size(); ++s) {
      at::manual_seed(s / 2 * 2);
      const at::Tensor values = at::randn({64, 64, 24}) * (s / 2 == 1 ? 1e-6 : 1.0);
      if (s % 2 == 1) {
        values.select(2, 0).neg_();
      }
      x.Shard(s).copy_(values);
    }
    BlockStatistics statistics;
    BlockPass{.block = &block, .threads = 2}.Taps(x, &statistics, false);
    EXPECT_EQ(statistics.tokens(), 5 * 64 * 64);
    return statistics.Xtx("self_attn.q_proj");
  };
  const at::Tensor one = of(1);
  for (int repeat = 0; repeat < 3; ++repeat) {
    for (const std::size_t devices : {2U, 3U, 5U}) {
      EXPECT_TRUE(at::equal(one, of(devices))) << devices;
    }
  }
}

TEST(BlockPassTest, AFailureOnOneDeviceEndsThePass) {
  const TinyModel model(OneBlock());
  const auto checkpoint = model.Open();
  const std::vector<at::Device> list(3, at::kCPU);
  BlockReplicas block(checkpoint->config(), 64, list, at::kFloat);
  block.Load(*checkpoint, 0);
  block[0].weights.down_proj = at::zeros({24, 7});
  const ShardedSequences x(list, 5 * 64, 64, 24, at::kFloat);
  for (std::size_t s = 0; s < x.shards().size(); ++s) {
    x.Shard(s).zero_();
  }
  BlockStatistics statistics;
  EXPECT_ANY_THROW((BlockPass{.block = &block, .threads = 2}.Taps(x, &statistics, true)));
}

}  // namespace
}  // namespace bitsweep::engine
