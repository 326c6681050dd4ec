// The model, the decoder and the sampler on a GPU. Labelled gpu; without a device they skip aloud.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>

#include "tests/engine_model/byte_tokenizer.h"
#include "tests/engine_model/few_pages.h"
#include "tests/engine_model/tiny_model.h"
#include "worker/engine/checkpoint/safetensors.h"
#include "worker/engine/error.h"
#include "worker/engine/generate/batch.h"
#include "worker/engine/generate/sampler.h"
#include "worker/engine/model/decoder.h"
#include "worker/engine/model/device_work.h"
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

// The paged decoder in f16 beside the pass without a cache in f32: prompts that end before, at and
// after a page's border, one of them shared, for more steps than a recorded graph needs to be
// repeated.
TEST_F(CudaTest, PagedStepsEqualTheWholeForwardPassInEverySlot) {
  const TinyModel tiny({.hidden = 64, .layers = 2, .heads = 4, .kv_heads = 2, .head_dim = 32,
                        .vocab = 61, .positions = 400});
  const auto exact = LlamaModel::Load(*tiny.Open(), at::kFloat, at::kCUDA);
  const auto rounded = LlamaModel::Load(*tiny.Open(), at::kHalf, at::kCUDA);
  const auto model = MakePagedDecoderModel(rounded, at::kCUDA);
  if (model == nullptr) {
    GTEST_SKIP() << "skipped: no GPU of compute capability 9.0, or a build without CUDA";
  }
  const auto decoder = model->MakeDecoder({.slots = 7, .positions = 400});
  ASSERT_EQ(decoder->slots(), 7);
  // How far f16 may be off is what it costs the pass without a cache.
  const auto expect_near = [&](const std::vector<std::int64_t>& tokens,
                               const at::Tensor& logits,
                               const std::string& what) {
    const auto last = static_cast<std::int64_t>(tokens.size()) - 1;
    const at::Tensor input = at::tensor(tokens, at::kLong).unsqueeze(0);
    const at::Tensor whole = exact->Logits(input)[0][last];
    const double noise = (rounded->Logits(input)[0][last] - whole).abs().max().item<double>();
    EXPECT_LT((whole - logits).abs().max().item<double>(), 4.0 * noise + 0.03)
        << what << ", " << tokens.size() << " tokens, f16 without a cache: " << noise;
  };
  std::vector<std::vector<std::int64_t>> ids;
  for (const std::int64_t length : {1, 63, 64, 300, 300, 300, 129}) {
    if (ids.empty() || ids.back().size() != static_cast<std::size_t>(length)) {
      ids.push_back(RandomIds(length, 61, static_cast<std::uint64_t>(length)));
      const at::Tensor logits = decoder->Prefill(ids.back());
      expect_near(ids.back(), logits[0], "prefill");
    } else {
      ids.push_back(ids.back());
    }
    decoder->Place(static_cast<std::int64_t>(ids.size()) - 1);
  }
  for (std::int64_t step = 0; step < 70; ++step) {
    std::vector<std::int64_t> tokens;
    std::vector<std::int64_t> positions;
    for (std::vector<std::int64_t>& sequence : ids) {
      positions.push_back(static_cast<std::int64_t>(sequence.size()));
      tokens.push_back((step * 7 + positions.back() + static_cast<std::int64_t>(tokens.size())) %
                       61);
      sequence.push_back(tokens.back());
    }
    const at::Tensor logits = decoder->Step(tokens, positions);
    for (std::size_t slot = 0; slot < ids.size() && step % 23 == 0; ++slot) {
      expect_near(ids[slot],
                  logits[static_cast<std::int64_t>(slot)],
                  "slot " + std::to_string(slot));
    }
  }
}

// Whatever the batch and however few the pages, bit for bit: products, attention and draws.
TEST_F(CudaTest, FewPagesAndAnyBatchGiveTheSameTokensAsMany) {
  const TinyModel tiny({.hidden = 256, .layers = 2, .heads = 4, .kv_heads = 2, .head_dim = 64,
                        .vocab = 61, .positions = 200});
  const auto model =
      MakePagedDecoderModel(LlamaModel::Load(*tiny.Open(), at::kHalf, at::kCUDA), at::kCUDA);
  if (model == nullptr) {
    GTEST_SKIP() << "skipped: no GPU of compute capability 9.0, or a build without CUDA";
  }
  ExpectSameTokensWithFewPages(*model, 61, 200);
}

// Samples of some problems, batch-invariant, [problem x sample].
class ReplicaTest : public CudaTest {
 protected:
  ReplicaTest() {
    for (std::size_t i = 0; i < records_.size(); ++i) {
      records_[i].name = std::string("P").append(std::to_string(i));
      records_[i].prompt = std::string(7 * i + 1, 'q') + records_[i].name;
      problems_.push_back({&records_[i], MakePrompt(tokenizer_, records_[i].prompt, 200)});
    }
  }
  std::vector<std::string> Generate(const std::vector<Replica>& replicas) const {
    std::vector<std::string> texts;
    for (const auto& row : GenerateAll(replicas,
                                       tokenizer_,
                                       {ByteTokenizer::kEos},
                                       problems_,
                                       {.sampling = {0.8, 0.95},
                                       .seed = 4,
                                       .samples = 6,
                                       .tokens_max = 200,
                                       .slots = 20,
                                       .threads = 2,
                                       .batch_invariant = true},
                                       [](std::int64_t) {})) {
      for (const GeneratedSample& sample : row) {
        texts.push_back(sample.text);
      }
    }
    return texts;
  }
  std::vector<std::string> GenerateWith(const std::vector<at::Device>& devices,
                                        std::int64_t split) const {
    const auto placed = PlaceDecoderModels(*tiny_.Open(), at::kHalf, devices, split);
    EXPECT_EQ(placed.size() * static_cast<std::size_t>(split), devices.size());
    std::vector<Replica> replicas;
    for (const PlacedModel& model : placed) {
      replicas.push_back({*model.model, model.device, model.decoders});
    }
    return Generate(replicas);
  }

  const at::Device first_ = at::Device(at::kCUDA, 0);
  const at::Device second_ = at::Device(at::kCUDA, 1);
  const TinyModel tiny_{{.hidden = 256,
                         .layers = 3,
                         .heads = 4,
                         .kv_heads = 2,
                         .head_dim = 64,
                         .vocab = 258,
                         .positions = 200}};
  const ByteTokenizer tokenizer_;
  std::vector<benchmark::Record> records_{13};
  std::vector<GenerationProblem> problems_;
};

TEST_F(ReplicaTest, LayersDividedOnOneGpuGiveTheSameSamples) {
  const auto llama = LlamaModel::Load(*tiny_.Open(), at::kHalf, first_);
  const auto whole = MakePagedDecoderModel(llama, first_);
  if (whole == nullptr) {
    GTEST_SKIP() << "skipped: no GPU of compute capability 9.0, or a build without CUDA";
  }
  const auto divided = MakePagedDecoderModel(llama, {0, 1, 2});
  const std::vector<std::string> want = Generate({{*whole, first_}});
  EXPECT_EQ(Generate({{*divided, first_}}), want);
  EXPECT_EQ(Generate({{*divided, first_, 2}}), want);
}

// A replica on each of two GPUs, its weights copied from the first one's; and one on both.
TEST_F(ReplicaTest, TwoGpusGiveTheSamplesOfOne) {
  if (at::detail::getCUDAHooks().getNumGPUs() < 2) {
    GTEST_SKIP() << "skipped: one GPU";
  }
  if (!PagedDecoderServes(tiny_.Open()->config(), at::kHalf, second_)) {
    GTEST_SKIP() << "skipped: no GPU of compute capability 9.0, or a build without CUDA";
  }
  const std::vector<std::string> want = GenerateWith({first_}, 1);
  EXPECT_EQ(GenerateWith({second_}, 1), want);
  EXPECT_EQ(GenerateWith({first_, second_}, 1), want);
  EXPECT_EQ(GenerateWith({first_, second_}, 2), want);
}

// A quantized demo model, its linears kept as codes and expanded.
class CodesTest : public CudaTest {
 protected:
  static constexpr std::int64_t kVocab = 2048;
  void SetUp() override {
    CudaTest::SetUp();
    if (!IsSkipped() && !PagedDecoderServes(checkpoint_->config(), at::kHalf, at::kCUDA)) {
      GTEST_SKIP() << "skipped: no GPU of compute capability 9.0, or a build without CUDA";
    }
  }
  PlacedModel Place(WeightsForm form) const {
    return PlaceDecoderModels(*checkpoint_, at::kHalf, {{at::kCUDA, 0}}, 1, form)[0];
  }

  const std::shared_ptr<const Checkpoint> checkpoint_ =
      Checkpoint::Open("golden/aqlm-reference/sparrow-1m-AQLM-2bit-code-2x8");
};

// Each token is the greatest logit of the expanded model, up to ties of f16; steps are repeated
// from recorded graphs.
TEST_F(CodesTest, GreedyTokensAreThoseOfTheExpandedModel) {
  const PlacedModel expanded = Place(WeightsForm::kExpanded);
  const PlacedModel codes = Place(WeightsForm::kCodes);
  EXPECT_TRUE(codes.weights.codes);
  // 40 rows are expanded in steps too, 3 are looked up.
  for (const std::int64_t slots : {3, 40}) {
    const DecoderOptions options = {.slots = slots, .positions = 100};
    const auto want = expanded.model->MakeDecoder(options);
    const auto got = codes.model->MakeDecoder(options);
    const std::vector<std::int64_t> prompt = RandomIds(17, kVocab, 3);
    at::Tensor expected = want->Prefill(prompt);
    at::Tensor logits = got->Prefill(prompt);
    for (std::int64_t slot = 0; slot < slots; ++slot) {
      want->Place(slot);
      got->Place(slot);
    }
    std::int64_t ties = 0;
    for (std::int64_t position = 17; position < 80; ++position) {
      const std::int64_t token = expected[0].argmax().item<std::int64_t>();
      const double gap = (logits[0].max() - logits[0][token]).item<double>();
      EXPECT_LT(gap, 0.05) << "position " << position;
      ties += gap > 0.0 ? 1 : 0;
      const std::vector<std::int64_t> tokens(static_cast<std::size_t>(slots), token);
      const std::vector<std::int64_t> positions(static_cast<std::size_t>(slots), position);
      expected = want->Step(tokens, positions);
      logits = got->Step(tokens, positions);
      EXPECT_TRUE(at::equal(logits[0], logits[slots - 1]));
    }
    EXPECT_LE(ties, 2) << slots << " slots";
  }
}

TEST_F(CodesTest, BatchInvariantLogitsAreTheSameBits) {
  const auto decoder = [&](WeightsForm form) {
    return Place(form).model->MakeDecoder(
        {.slots = 2, .positions = 100, .batch_invariant = true});
  };
  const auto want = decoder(WeightsForm::kExpanded);
  const auto got = decoder(WeightsForm::kCodes);
  const std::vector<std::int64_t> prompt = RandomIds(70, kVocab, 5);
  EXPECT_TRUE(at::equal(got->Prefill(prompt), want->Prefill(prompt)));
  want->Place(0);
  got->Place(0);
  for (std::int64_t step = 0; step < 6; ++step) {
    EXPECT_TRUE(at::equal(got->Step({step}, {70 + step}), want->Step({step}, {70 + step})));
  }
}

// Codes are copied to the second replica, and lie where their layers do.
TEST_F(CodesTest, TwoGpusGiveTheBitsOfOne) {
  if (at::detail::getCUDAHooks().getNumGPUs() < 2) {
    GTEST_SKIP() << "skipped: one GPU";
  }
  const std::vector<at::Device> both = {{at::kCUDA, 0}, {at::kCUDA, 1}};
  const std::vector<std::int64_t> prompt = RandomIds(70, kVocab, 6);
  const auto logits = [&](const PlacedModel& placed) {
    const c10::DeviceGuard guard(placed.device);
    const auto decoder = placed.model->MakeDecoder({.slots = 1, .positions = 100});
    decoder->Prefill(prompt);
    decoder->Place(0);
    return decoder->Step({5}, {70}).cpu();  // One row: looked up.
  };
  const at::Tensor want = logits(Place(WeightsForm::kCodes));
  for (const std::int64_t split : {1, 2}) {
    for (const PlacedModel& placed :
         PlaceDecoderModels(*checkpoint_, at::kHalf, both, split, WeightsForm::kCodes)) {
      EXPECT_TRUE(at::equal(logits(placed), want)) << split << ", " << placed.device.str();
    }
  }
}

// With 1 MiB nothing fits, with 2 GiB everything: what is asked is what the limit leaves.
TEST_F(CodesTest, AMemoryLimitIsKept) {
  const at::Device device(at::kCUDA, 0);
  DeviceWork::LimitBytes(device, std::int64_t{2} << 30);
  EXPECT_LE(DeviceWork::FreeBytes(device), std::int64_t{2} << 30);
  EXPECT_FALSE(Place(WeightsForm::kAuto).weights.codes);
  const auto options = at::TensorOptions().dtype(at::kChar).device(device);
  EXPECT_ANY_THROW(at::empty({std::int64_t{3} << 30}, options));
  DeviceWork::LimitBytes(device, std::int64_t{1} << 20);
  const auto place = [&] { return Place(WeightsForm::kExpanded); };
  try {
    place();
    FAIL() << "1 MiB holds no model";
  } catch (const EngineError& error) {
    EXPECT_EQ(error.failure(), FailureClass::kOomGpu);
    EXPECT_NE(std::string(error.what()).find("as codes"), std::string::npos);
  }
  DeviceWork::LimitBytes(device, 0);
  EXPECT_GT(DeviceWork::FreeBytes(device), std::int64_t{2} << 30);
}

// Follows transformers' greedy tokens in f16: each is the greatest logit, up to ties of f16.
TEST_F(CudaTest, GreedyTokensOfTheDemoModelsAreTransformers) {
  for (const char* name : {"sparrow-1m", "finch-4m"}) {
    const auto model = MakeDecoderModel(
        *Checkpoint::Open(std::string("../deploy/demo/models/") + name), at::kHalf, at::kCUDA);
    for (const char* number : {"0", "1", "2"}) {
      const auto golden = SafetensorsFile::Open(std::string("golden/logits/golden_") + name + "_" +
                                                number + ".safetensors");
      const at::Tensor prompt = golden->Get("input_ids").to(at::kLong);
      const at::Tensor greedy = golden->Get("greedy").to(at::kLong);
      const auto decoder = model->MakeDecoder({.slots = 1, .positions = greedy.size(0)});
      at::Tensor logits =
          decoder->Prefill({prompt.data_ptr<std::int64_t>(),
                            prompt.data_ptr<std::int64_t>() + prompt.size(0)});
      decoder->Place(0);
      std::int64_t ties = 0;
      for (std::int64_t i = prompt.size(0); i < greedy.size(0); ++i) {
        const auto token = greedy[i].item<std::int64_t>();
        const double gap = logits.max().item<double>() - logits[0][token].item<double>();
        EXPECT_LT(gap, 0.05) << name << " " << number << ", token " << i;
        ties += gap > 0.0 ? 1 : 0;
        if (i + 1 < greedy.size(0)) {
          logits = decoder->Step({token}, {i});
        }
      }
      EXPECT_LE(ties, 2) << name << " " << number << " of " << greedy.size(0) - prompt.size(0);
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
