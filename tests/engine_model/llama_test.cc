#include "worker/engine/model/llama.h"

#include <cmath>

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "tests/engine_model/tiny_model.h"
#include "worker/engine/error.h"

namespace bitsweep::engine {
namespace {

double GreatestDifference(const at::Tensor& logits,
                          const std::vector<std::vector<double>>& reference) {
  double greatest = 0.0;
  for (std::size_t t = 0; t < reference.size(); ++t) {
    for (std::size_t v = 0; v < reference[t].size(); ++v) {
      const double got =
          logits[static_cast<std::int64_t>(t)][static_cast<std::int64_t>(v)].item<double>();
      greatest = std::max(greatest, std::abs(got - reference[t][v]));
    }
  }
  return greatest;
}

TEST(LlamaTest, GroupedQueryForwardEqualsPlainLoops) {
  const TinyModel tiny({});
  const std::vector<std::int64_t> ids = RandomIds(33, 53, 1);
  const auto model = LlamaModel::Load(*tiny.Open(), at::kFloat, at::kCPU);
  const at::Tensor logits = model->Logits(at::tensor(ids, at::kLong).unsqueeze(0));
  ASSERT_EQ(logits.sizes(), (std::vector<std::int64_t>{1, 33, 53}));
  EXPECT_LT(GreatestDifference(logits[0], tiny.ReferenceLogits(ids)), 2e-4);
}

TEST(LlamaTest, TiedEmbeddingsServeAsHead) {
  const TinyModel tiny({.layers = 1}, /*tied=*/true);
  const std::vector<std::int64_t> ids = RandomIds(5, 53, 2);
  const auto model = LlamaModel::Load(*tiny.Open(), at::kFloat, at::kCPU);
  EXPECT_LT(GreatestDifference(model->Logits(at::tensor(ids, at::kLong).unsqueeze(0))[0],
                               tiny.ReferenceLogits(ids)),
            2e-4);
}

TEST(LlamaTest, RowsOfABatchAreIndependent) {
  const TinyModel tiny({});
  const auto model = LlamaModel::Load(*tiny.Open(), at::kFloat, at::kCPU);
  const at::Tensor a = at::tensor(RandomIds(12, 53, 3), at::kLong);
  const at::Tensor b = at::tensor(RandomIds(12, 53, 4), at::kLong);
  const at::Tensor both = model->Logits(at::stack({a, b}));
  EXPECT_TRUE(at::allclose(both[1], model->Logits(b.unsqueeze(0))[0], 1e-4, 1e-5));
}

TEST(LlamaTest, Bf16StaysNearF32) {
  const TinyModel tiny({});
  const at::Tensor ids = at::tensor(RandomIds(9, 53, 5), at::kLong).unsqueeze(0);
  const at::Tensor exact = LlamaModel::Load(*tiny.Open(), at::kFloat, at::kCPU)->Logits(ids);
  const at::Tensor rough = LlamaModel::Load(*tiny.Open(), at::kBFloat16, at::kCPU)->Logits(ids);
  EXPECT_EQ(rough.scalar_type(), at::kFloat);
  EXPECT_LT((exact - rough).abs().mean().item<double>(), 0.05 * exact.abs().mean().item<double>());
}

TEST(LlamaTest, TapsAreTheLinearsInputs) {
  const TinyModel tiny({});
  const auto checkpoint = tiny.Open();
  const BlockWeights block = LoadBlock(*checkpoint, 0, at::kFloat, at::kCPU);
  const RopeTable rope = MakeRopeTable(checkpoint->config(), 16, at::kCPU);
  const at::Tensor x = at::randn({2, 7, 24});
  BlockTaps taps;
  const at::Tensor y = BlockForward(checkpoint->config(), block, rope, x, &taps);
  EXPECT_TRUE(at::allclose(taps.attention_input, RmsNorm(x, block.input_layernorm, 1e-5)));
  const at::Tensor middle = x + at::linear(taps.o_input, block.o_proj);
  EXPECT_TRUE(at::allclose(
      taps.mlp_input, RmsNorm(middle, block.post_attention_layernorm, 1e-5), 1e-4, 1e-6));
  EXPECT_TRUE(at::allclose(y, middle + at::linear(taps.down_input, block.down_proj), 1e-4, 1e-6));
}

TEST(LlamaTest, FusedRowsIsAViewOfNeighboursAndACopyOfOthers) {
  const TinyModel tiny({});
  const BlockWeights block = LoadBlock(*tiny.Open(), 1, at::kFloat, at::kCPU);
  const at::Tensor fused = FusedRows({block.q_proj, block.k_proj, block.v_proj});
  EXPECT_EQ(fused.data_ptr(), block.q_proj.data_ptr());
  EXPECT_TRUE(at::equal(fused, at::cat({block.q_proj, block.k_proj, block.v_proj})));
  const at::Tensor other = block.k_proj.clone();
  EXPECT_TRUE(at::equal(FusedRows({block.q_proj, other}), at::cat({block.q_proj, other})));
  EXPECT_TRUE(
      at::equal(FusedRows({block.k_proj, block.q_proj}), at::cat({block.k_proj, block.q_proj})));
}

TEST(LlamaTest, IdsAndLengthsOutOfRangeAreBadInput) {
  const TinyModel tiny({.layers = 1});
  const auto model = LlamaModel::Load(*tiny.Open(), at::kFloat, at::kCPU);
  const auto failure = [&](const at::Tensor& ids) {
    try {
      model->Logits(ids);
    } catch (const EngineError& error) {
      return error.failure() == FailureClass::kBadInput;
    }
    return false;
  };
  EXPECT_TRUE(failure(at::full({1, 2}, 53, at::kLong)));
  EXPECT_TRUE(failure(at::full({1, 2}, -1, at::kLong)));
  EXPECT_TRUE(failure(at::zeros({1, 97}, at::kLong)));
  EXPECT_TRUE(failure(at::zeros({1, 0}, at::kLong)));
  EXPECT_FALSE(failure(at::zeros({1, 96}, at::kLong)));
}

TEST(RopeTest, LinearScalingStretchesPositions) {
  ModelConfig plain;
  plain.head_dim = 8;
  ModelConfig scaled = plain;
  scaled.rope.type = "linear";
  scaled.rope.factor = 4.0;
  const RopeTable a = MakeRopeTable(plain, 4, at::kCPU);
  const RopeTable b = MakeRopeTable(scaled, 13, at::kCPU);
  EXPECT_TRUE(at::allclose(a.cos[3], b.cos[12], 1e-5, 1e-6));
  EXPECT_TRUE(at::allclose(a.sin[3], b.sin[12], 1e-5, 1e-6));
}

TEST(RopeTest, Llama3KeepsShortWavesStretchesLongOnesAndBlendsBetween) {
  // Llama 3.1: frequencies at position 1 are the angles themselves.
  ModelConfig config;
  config.head_dim = 128;
  config.rope = {"llama3", 500000.0, 8.0, 1.0, 4.0, 8192};
  const at::Tensor angle =
      MakeRopeTable(config, 2, at::kCPU).sin[1].narrow(0, 0, 64).to(at::kDouble).asin();
  const auto plain = [](int i) { return std::pow(500000.0, -2.0 * i / 128.0); };
  EXPECT_NEAR(angle[10].item<double>(), plain(10), 1e-6);  // Wavelength 49: kept.
  EXPECT_NEAR(
      angle[60].item<double>() / (plain(60) / 8.0), 1, 1e-4);  // Wavelength 1.4 million: stretched.
  // Wavelength 2 pi * 500000^(64/128) = 4443: between 2048 and 8192; smooth = (8192 / 4443 - 1) / 3
  // = 0.28128.
  EXPECT_NEAR(angle[32].item<double>() / plain(32), 0.28128 + (1 - 0.28128) / 8.0, 1e-4);
}

}  // namespace
}  // namespace bitsweep::engine
