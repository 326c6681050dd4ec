// The paged decoder by the reference ops, in bf16 on the CPU: sharing of pages, the planner, and
// the two ways to use it. The same on a GPU is in cuda_test.cc.
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "tests/engine_model/few_pages.h"
#include "tests/engine_model/tiny_model.h"
#include "worker/engine/error.h"
#include "worker/engine/generate/philox.h"
#include "worker/engine/generate/sampler.h"
#include "worker/engine/model/attention_plan.h"
#include "worker/engine/model/decoder.h"
#include "worker/engine/model/llama.h"

namespace bitsweep::engine {
namespace {

// Every (row, token) is attended to exactly once, through the prompt's pages and the row's own, and
// in the same parts whoever the other rows are.
TEST(AttentionPlanTest, EveryRowSeesItsTokensOnceHoweverManyShareItsPrompt) {
  // Prompts 0 (35 rows, 5 pages, the last one partly), 1 (5 rows, one page) and 2 (one row).
  const std::vector<std::int64_t> prompt_tokens = {300, 64, 257};
  std::vector<std::vector<std::int32_t>> prompt_pages(3);
  for (std::int32_t page = 0; page < 5; ++page) {
    prompt_pages[0].push_back(1 + page);
    prompt_pages[2].push_back(10 + page);
  }
  prompt_pages[1] = {20};
  std::vector<std::vector<std::int32_t>> own(41);
  std::vector<PlannedRow> rows;
  for (std::size_t row = 0; row < own.size(); ++row) {
    for (std::int32_t i = 0; i < 7; ++i) {
      own[row].push_back(100 + static_cast<std::int32_t>(row) * 7 + i);
    }
    const std::size_t prompt = row < 35 ? 0 : row < 40 ? 1 : 2;
    rows.push_back({static_cast<std::int64_t>(prompt),
                    &prompt_pages[prompt],
                    prompt_tokens[prompt],
                    &own[row],
                    1 + static_cast<std::int64_t>(row) * 11});
  }
  // Of each row: page -> tokens, and the tokens of its parts in order.
  struct Seen {
    std::map<std::int32_t, std::int32_t> pages;
    std::map<std::int32_t, std::int32_t> parts;
  };
  const auto see = [](const std::vector<PlannedRow>& of, std::int64_t group) {
    const AttentionPlan plan = PlanAttention(of, group);
    std::vector<Seen> seen(of.size());
    for (const kernels::AttentionItem& item : plan.items) {
      EXPECT_GE(item.rows, 1);
      EXPECT_LE(item.rows * group, kernels::kItemRows);
      for (std::int32_t r = 0; r < item.rows; ++r) {
        const kernels::AttentionItemRow& to =
            plan.item_rows[static_cast<std::size_t>(item.first_row + r)];
        const auto row = static_cast<std::size_t>(to.row);
        EXPECT_GE(to.part, plan.first_part[row]);
        EXPECT_LT(to.part, plan.first_part[row] + plan.part_count[row]);
        EXPECT_TRUE(seen[row].parts.emplace(to.part - plan.first_part[row], item.tokens).second);
        for (std::int32_t i = 0; i * 64 < item.tokens; ++i) {
          EXPECT_TRUE(
              seen[row].pages.emplace(item.pages[i], std::min(64, item.tokens - i * 64)).second);
        }
      }
    }
    for (std::size_t row = 0; row < of.size(); ++row) {
      EXPECT_LE(plan.part_count[row], PlannedPartsMax(of[row].prompt_tokens + of[row].own_tokens));
    }
    return seen;
  };
  for (const std::int64_t group : {1, 3, 4, 16}) {
    const std::vector<Seen> seen = see(rows, group);
    for (std::size_t row = 0; row < rows.size(); ++row) {
      std::map<std::int32_t, std::int32_t> want;
      const auto add = [&](const std::vector<std::int32_t>& pages, std::int64_t tokens) {
        for (std::int64_t i = 0; i * 64 < tokens; ++i) {
          want[pages[static_cast<std::size_t>(i)]] =
              static_cast<std::int32_t>(std::min<std::int64_t>(64, tokens - i * 64));
        }
      };
      add(*rows[row].prompt_pages, rows[row].prompt_tokens);
      add(*rows[row].own_pages, rows[row].own_tokens);
      EXPECT_EQ(seen[row].pages, want);
      EXPECT_EQ(see({rows[row]}, group)[0].parts, seen[row].parts) << "alone as among others";
    }
  }
}

class PagedDecoderTest : public ::testing::Test {
 protected:
  static constexpr std::int64_t kVocab = 53;
  PagedDecoderTest()
      : tiny_({.hidden = 48, .layers = 2, .heads = 4, .kv_heads = 2, .head_dim = 32,
               .vocab = kVocab, .positions = 200}),
        llama_(LlamaModel::Load(*tiny_.Open(), at::kBFloat16, at::kCPU)),
        model_(MakePagedDecoderModel(llama_, at::kCPU)) {}

  // Logits [V] after `ids`, by the pass without a cache.
  at::Tensor Whole(const std::vector<std::int64_t>& ids) const {
    return llama_->Logits(
        at::tensor(ids, at::kLong).unsqueeze(0))[0][static_cast<std::int64_t>(ids.size()) - 1];
  }
  // bf16 has 8 bits, and the two round at different places.
  static void ExpectNear(const at::Tensor& got, const at::Tensor& want) {
    EXPECT_LT((got - want).abs().max().item<double>(),
              0.1 * want.abs().max().item<double>());
  }

  const TinyModel tiny_;
  const std::shared_ptr<const LlamaModel> llama_;
  const std::shared_ptr<const DecoderModel> model_;
};

TEST_F(PagedDecoderTest, CachedStepsEqualTheWholeForwardPass) {
  // Prompts that end before, at and after a page's border.
  for (const std::int64_t length : {1, 63, 64, 65, 130}) {
    const auto decoder = model_->MakeDecoder({.slots = 1, .positions = 200});
    std::vector<std::int64_t> ids = RandomIds(length, kVocab, 11);
    ExpectNear(decoder->Prefill(ids)[0], Whole(ids));
    decoder->Place(0);
    for (const std::int64_t id : RandomIds(4, kVocab, 12)) {
      ids.push_back(id);
      ExpectNear(decoder->Step({id}, {static_cast<std::int64_t>(ids.size()) - 1})[0], Whole(ids));
    }
  }
}

TEST_F(PagedDecoderTest, OnePromptServesSeveralSlotsAndSlotsMove) {
  const auto decoder = model_->MakeDecoder({.slots = 3, .positions = 100});
  const std::vector<std::int64_t> shared = RandomIds(70, kVocab, 13);
  const std::vector<std::int64_t> other = RandomIds(5, kVocab, 14);
  decoder->Prefill(shared);
  decoder->Place(0);
  decoder->Place(1);
  decoder->Prefill(other);
  decoder->Place(2);
  const auto with = [](std::vector<std::int64_t> ids, std::vector<std::int64_t> more) {
    ids.insert(ids.end(), more.begin(), more.end());
    return ids;
  };
  at::Tensor logits = decoder->Step({3, 4, 5}, {70, 70, 5});
  ExpectNear(logits[0], Whole(with(shared, {3})));
  ExpectNear(logits[1], Whole(with(shared, {4})));
  ExpectNear(logits[2], Whole(with(other, {5})));
  decoder->Move(2, 0, 6);
  logits = decoder->Step({6, 7}, {6, 71});
  ExpectNear(logits[0], Whole(with(other, {5, 6})));
  ExpectNear(logits[1], Whole(with(shared, {4, 7})));
}

// Every drawn token is what the host's sampler draws from the logits of the pass without a cache,
// unless the draw lies near the border of two tokens, which rounding may move.
TEST_F(PagedDecoderTest, SequencesComeAndGoWhileStepsAreInFlight) {
  const SamplingOptions sampling = {.temperature = 0.8, .top_p = 0.9};
  const auto decoder = model_->MakeBatchDecoder(
      {.slots = 5, .positions = 140},
      {.temperature = sampling.temperature, .top_p = sampling.top_p, .seed = 99});
  const std::vector<std::int64_t> first = RandomIds(66, kVocab, 15);
  const std::vector<std::int64_t> second = RandomIds(9, kVocab, 16);
  ASSERT_TRUE(decoder->CanAdd({66, 9}));
  const auto prompts = decoder->AddPrompts({&first, &second});
  struct Expected {
    std::vector<std::int64_t> ids;
    std::uint32_t sample;
    std::uint32_t drawn = 0;
  };
  std::map<std::int64_t, Expected> live;
  const auto start = [&](std::size_t prompt, std::uint32_t sample) {
    ASSERT_TRUE(decoder->CanStart(prompts[prompt]));
    live[decoder->Start(prompts[prompt], {7, 8, sample, 0})] = {prompt == 0 ? first : second,
                                                                sample};
  };
  int near = 0;
  int all = 0;
  const auto take = [&](Expected& of, std::int64_t token) {
    const at::Tensor logits = Whole(of.ids);
    const double draw = UniformDraw(99, (std::uint64_t{8} << 32) | 7, of.sample, of.drawn++);
    near += ChooseToken(logits.data_ptr<float>(), kVocab, sampling, draw) == token ? 1 : 0;
    ++all;
    of.ids.push_back(token);
  };
  const auto launch = [&] {
    std::vector<std::int64_t> numbers;
    for (const auto& entry : live) {
      numbers.push_back(entry.first);
    }
    EXPECT_EQ(decoder->Launch(numbers), numbers);
  };
  const auto collect = [&] {
    for (const BatchDecoder::Chosen& chosen : decoder->Collect()) {
      if (const auto of = live.find(chosen.sequence); of != live.end()) {
        if (chosen.first >= 0) {
          take(of->second, chosen.first);
        }
        take(of->second, chosen.next);
      }
    }
  };
  start(0, 0);
  start(0, 1);
  start(1, 0);
  launch();
  start(0, 2);
  decoder->DropPrompt(prompts[0]);
  launch();
  collect();
  const std::int64_t ended = live.begin()->first;  // Still in the step in flight.
  decoder->End(ended);
  live.erase(ended);
  start(1, 1);
  launch();
  collect();
  launch();
  collect();
  collect();
  EXPECT_EQ(all, 6 + 4 + 5 + 4);
  EXPECT_GE(near, all - 2);
}

TEST_F(PagedDecoderTest, FewPagesAndAnyBatchGiveTheSameTokensAsMany) {
  ExpectSameTokensWithFewPages(*model_, kVocab, 200);
}

// Pages that wait in host memory come back to the stretch that they belong to.
TEST_F(PagedDecoderTest, FewPagesGiveTheSameTokensWhereLayersAreDivided) {
  ExpectSameTokensWithFewPages(*MakePagedDecoderModel(llama_, {0, 1}), kVocab, 200);
}

TEST_F(PagedDecoderTest, DividedLayersComputeTheSameBits) {
  const std::vector<std::int64_t> ids = RandomIds(70, kVocab, 17);
  const auto whole = model_->MakeDecoder({.slots = 1, .positions = 90});
  const auto divided =
      MakePagedDecoderModel(llama_, {0, 1})->MakeDecoder({.slots = 1, .positions = 90});
  EXPECT_TRUE(at::equal(whole->Prefill(ids), divided->Prefill(ids)));
  whole->Place(0);
  divided->Place(0);
  for (std::int64_t step = 0; step < 4; ++step) {
    EXPECT_TRUE(at::equal(whole->Step({step}, {70 + step}), divided->Step({step}, {70 + step})));
  }
}

TEST(PlacementTest, AReplicaTakesAsFewGpusAsLeaveRoomForACache) {
  EXPECT_EQ(DevicesPerReplica(1300, 8000, 1, 32), 1);
  EXPECT_EQ(DevicesPerReplica(1300, 8000, 8, 32), 1);
  // 67 of 79 GB are just too many for one; 6 GPUs hold three replicas of two.
  EXPECT_EQ(DevicesPerReplica(6750, 7900, 2, 48), 2);
  EXPECT_EQ(DevicesPerReplica(6750, 8000, 2, 48), 1);
  EXPECT_EQ(DevicesPerReplica(6750, 7900, 6, 48), 2);
  EXPECT_EQ(DevicesPerReplica(6750, 7900, 3, 48), 3);
  EXPECT_EQ(DevicesPerReplica(14000, 7900, 4, 48), 4);
  // Nothing to divide: what does not fit fails where it is loaded.
  EXPECT_EQ(DevicesPerReplica(6750, 7900, 1, 48), 1);
  EXPECT_EQ(DevicesPerReplica(6750, 7900, 2, 1), 1);
}

TEST_F(PagedDecoderTest, ModelsArePlacedOnEveryDevice) {
  EXPECT_EQ(EvenStretches(48, 2), (std::vector<std::int64_t>{0, 24}));
  EXPECT_EQ(EvenStretches(5, 3), (std::vector<std::int64_t>{0, 1, 3}));
  const auto checkpoint = tiny_.Open();
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const auto placed = PlaceDecoderModels(*checkpoint, dtype, {at::kCPU, at::kCPU, at::kCPU}, 0);
    ASSERT_EQ(placed.size(), 3U);
    EXPECT_EQ(placed[2].decoders, 1);
    const auto logits = [&](const PlacedModel& of) {
      return of.model->MakeDecoder({.slots = 1, .positions = 20})->Prefill({3, 1, 4}).clone();
    };
    EXPECT_TRUE(at::equal(logits(placed[0]), logits(placed[2])));
  }
  try {
    PlaceDecoderModels(*checkpoint, at::kBFloat16, {at::kCPU, at::kCPU}, 2);
    FAIL() << "torch's decoder does not divide layers";
  } catch (const EngineError& error) {
    EXPECT_EQ(error.failure(), FailureClass::kBadInput);
    EXPECT_NE(std::string(error.what()).find("split 2"), std::string::npos);
  }
}

TEST_F(PagedDecoderTest, OtherHeadSizesAndTypesAreLeftToTorch) {
  const TinyModel odd({});
  EXPECT_EQ(MakePagedDecoderModel(LlamaModel::Load(*odd.Open(), at::kBFloat16, at::kCPU), at::kCPU),
            nullptr);
  EXPECT_EQ(MakePagedDecoderModel(LlamaModel::Load(*tiny_.Open(), at::kFloat, at::kCPU), at::kCPU),
            nullptr);
}

}  // namespace
}  // namespace bitsweep::engine
