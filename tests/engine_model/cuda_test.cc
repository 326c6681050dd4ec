// The model, the decoder and the sampler on a GPU. Labelled gpu; without a device they skip aloud.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "tests/engine_model/tiny_model.h"
#include "worker/engine/checkpoint/safetensors.h"
#include "worker/engine/generate/sampler.h"
#include "worker/engine/model/decoder.h"
#include "worker/engine/model/llama.h"

namespace bitsweep::engine {
namespace {

class CudaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!at::hasCUDA()) {
      GTEST_SKIP() << "skipped: no CUDA device";
    }
  }
};

TEST_F(CudaTest, LogitsEqualTransformers) {
  for (const char* name : {"sparrow-1m", "finch-4m"}) {
    const auto checkpoint = Checkpoint::Open(std::string("../deploy/demo/models/") + name);
    const auto golden =
        SafetensorsFile::Open(std::string("golden/logits/golden_") + name + "_1.safetensors");
    const at::Tensor ids = golden->Get("input_ids").to(at::kLong).unsqueeze(0);
    const at::Tensor exact =
        LlamaModel::Load(*checkpoint, at::kFloat, at::kCUDA)->Logits(ids)[0].cpu();
    EXPECT_LT((exact - golden->Get("logits")).abs().max().item<double>(), 1e-3) << name;
    const at::Tensor half =
        LlamaModel::Load(*checkpoint, at::kHalf, at::kCUDA)->Logits(ids)[0].cpu();
    EXPECT_LT((half - golden->Get("logits")).abs().mean().item<double>(), 0.02) << name;
  }
}

TEST_F(CudaTest, CachedStepsEqualTheWholeForwardPassInEverySlot) {
  const TinyModel tiny({});
  const auto llama = LlamaModel::Load(*tiny.Open(), at::kFloat, at::kCUDA);
  const auto model = MakeTorchDecoderModel(*tiny.Open(), at::kFloat, at::kCUDA);
  const auto decoder = model->MakeDecoder({.slots = 3, .positions = 90});
  std::vector<std::vector<std::int64_t>> ids;
  for (std::int64_t slot = 0; slot < 3; ++slot) {
    ids.push_back(RandomIds(5 + 20 * slot, 53, static_cast<std::uint64_t>(slot)));
    decoder->Prefill(ids.back());
    decoder->Place(slot);
  }
  for (std::int64_t step = 0; step < 10; ++step) {
    std::vector<std::int64_t> tokens;
    std::vector<std::int64_t> positions;
    for (std::vector<std::int64_t>& sequence : ids) {
      positions.push_back(static_cast<std::int64_t>(sequence.size()));
      tokens.push_back((step * 7 + positions.back()) % 53);
      sequence.push_back(tokens.back());
    }
    const at::Tensor logits = decoder->Step(tokens, positions);
    for (std::size_t slot = 0; slot < 3; ++slot) {
      const at::Tensor whole = llama->Logits(at::tensor(ids[slot], at::kLong).unsqueeze(0))[0];
      EXPECT_LT((whole[positions[slot]] - logits[static_cast<std::int64_t>(slot)])
                    .abs()
                    .max()
                    .item<double>(),
                5e-4);
    }
  }
}

TEST_F(CudaTest, TokensAreChosenAsOnTheHost) {
  std::vector<double> draws;
  for (int i = 0; i < 64; ++i) {
    draws.push_back((i + 0.37) / 64.0);
  }
  // Sharp rows are decided by the candidates alone; flat ones of 5,000 need the whole row.
  for (const double spread : {4.0, 0.01}) {
    const at::Tensor logits = at::randn({64, 5000}) * spread;
    for (const SamplingOptions& options : {SamplingOptions{0.2, 0.95}, {1.0, 0.95}, {0.0, 1.0}}) {
      EXPECT_EQ(ChooseTokens(logits.to(at::kCUDA), options, draws),
                ChooseTokens(logits, options, draws));
    }
  }
}

}  // namespace
}  // namespace bitsweep::engine
