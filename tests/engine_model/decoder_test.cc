#include "worker/engine/model/decoder.h"

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "tests/engine_model/tiny_model.h"
#include "worker/engine/model/llama.h"

namespace bitsweep::engine {
namespace {

// Both decoders; a prompt of 70 makes the CPU one compute in two parts.
class DecoderTest : public ::testing::TestWithParam<bool> {
 protected:
  std::shared_ptr<const DecoderModel> Model() const {
    return GetParam() ? MakeCpuDecoderModel(*tiny_.Open())
                      : MakeTorchDecoderModel(*tiny_.Open(), at::kFloat, at::kCPU);
  }
  // Logits [V] after `ids`, by the pass without a cache.
  at::Tensor Whole(const std::vector<std::int64_t>& ids) const {
    return llama_->Logits(
        at::tensor(ids, at::kLong).unsqueeze(0))[0][static_cast<std::int64_t>(ids.size()) - 1];
  }
  static void ExpectNear(const at::Tensor& got, const at::Tensor& want) {
    EXPECT_LT((got - want).abs().max().item<double>(), 2e-4);
  }

  const TinyModel tiny_{TinyShape{}};
  const std::shared_ptr<const LlamaModel> llama_ =
      LlamaModel::Load(*tiny_.Open(), at::kFloat, at::kCPU);
};

TEST_P(DecoderTest, CachedStepsEqualTheWholeForwardPass) {
  const auto model = Model();
  const auto decoder = model->MakeDecoder({.slots = 1, .positions = 96});
  std::vector<std::int64_t> ids = RandomIds(70, 53, 11);
  ExpectNear(decoder->Prefill(ids)[0], Whole(ids));
  decoder->Place(0);
  for (const std::int64_t id : RandomIds(26, 53, 12)) {
    ids.push_back(id);
    ExpectNear(decoder->Step({id}, {static_cast<std::int64_t>(ids.size()) - 1})[0], Whole(ids));
  }
  EXPECT_EQ(ids.size(), 96U);
}

TEST_P(DecoderTest, OnePromptServesSeveralSlotsAndSlotsMove) {
  const auto model = Model();
  const auto decoder = model->MakeDecoder({.slots = 3, .positions = 40});
  const std::vector<std::int64_t> shared = RandomIds(17, 53, 13);
  const std::vector<std::int64_t> other = RandomIds(5, 53, 14);
  decoder->Prefill(shared);
  decoder->Place(0);
  decoder->Place(1);
  decoder->Prefill(other);
  decoder->Place(2);
  const auto with = [](std::vector<std::int64_t> ids, std::vector<std::int64_t> more) {
    ids.insert(ids.end(), more.begin(), more.end());
    return ids;
  };
  at::Tensor logits = decoder->Step({3, 4, 5}, {17, 17, 5});
  ExpectNear(logits[0], Whole(with(shared, {3})));
  ExpectNear(logits[1], Whole(with(shared, {4})));
  ExpectNear(logits[2], Whole(with(other, {5})));
  decoder->Move(2, 0, 6);  // The first sequence has ended; the last takes its slot.
  logits = decoder->Step({6, 7}, {6, 18});
  ExpectNear(logits[0], Whole(with(other, {5, 6})));
  ExpectNear(logits[1], Whole(with(shared, {4, 7})));
}

INSTANTIATE_TEST_SUITE_P(Both, DecoderTest, ::testing::Bool(), [](const auto& suite) {
  return suite.param ? "CpuLoops" : "Torch";
});

TEST(CpuDecoderTest, LogitsDoNotDependOnTheBatchByABit) {
  const TinyModel tiny({});
  const auto model = MakeCpuDecoderModel(*tiny.Open());
  const auto crowd = model->MakeDecoder({.slots = 21, .positions = 50});
  for (std::int64_t slot = 0; slot < 21; ++slot) {
    crowd->Prefill(RandomIds(3 + slot, 53, static_cast<std::uint64_t>(slot)));
    crowd->Place(slot);
  }
  std::vector<std::int64_t> positions;
  for (std::int64_t slot = 0; slot < 21; ++slot) {
    positions.push_back(3 + slot);
  }
  const at::Tensor together = crowd->Step(std::vector<std::int64_t>(21, 8), positions);
  const auto alone = model->MakeDecoder({.slots = 1, .positions = 90});
  for (std::int64_t slot = 0; slot < 21; ++slot) {
    alone->Prefill(RandomIds(3 + slot, 53, static_cast<std::uint64_t>(slot)));
    alone->Place(0);
    EXPECT_TRUE(at::equal(alone->Step({8}, {3 + slot})[0], together[slot])) << slot;
  }
}

TEST(CpuDecoderTest, APromptsPartsAndItsStepsAgreeByABit) {
  const TinyModel tiny({});
  const auto model = MakeCpuDecoderModel(*tiny.Open());
  const std::vector<std::int64_t> ids = RandomIds(80, 53, 15);
  const auto at_once = model->MakeDecoder({.slots = 1, .positions = 90});
  const at::Tensor whole = at_once->Prefill(ids).clone();
  const auto stepwise = model->MakeDecoder({.slots = 1, .positions = 90});
  stepwise->Prefill({ids[0]});
  stepwise->Place(0);
  at::Tensor last;
  for (std::size_t i = 1; i < ids.size(); ++i) {
    last = stepwise->Step({ids[i]}, {static_cast<std::int64_t>(i)});
  }
  EXPECT_TRUE(at::equal(whole, last));
}

TEST(CpuDecoderTest, SlotBytesAreTheCaches) {
  const TinyModel tiny({});
  // 3 layers, 2 heads, 50 positions round up to 64, keys of 10 and values padded to 16 floats.
  EXPECT_EQ(MakeCpuDecoderModel(*tiny.Open())->SlotBytes(50), 3 * 2 * 64 * (10 + 16) * 4);
  EXPECT_EQ(MakeTorchDecoderModel(*tiny.Open(), at::kBFloat16, at::kCPU)->SlotBytes(50),
            3 * 2 * 50 * (10 + 10) * 2);
}

}  // namespace
}  // namespace bitsweep::engine
