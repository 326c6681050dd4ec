// Linears kept as codes: what is loaded, the two ways to multiply by it (by the reference ops), and
// the paged decoder with them beside the same one with expanded weights. On a GPU: cuda_test.cc.
#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "tests/engine_model/tiny_model.h"
#include "worker/engine/checkpoint/packed_codes.h"
#include "worker/engine/error.h"
#include "worker/engine/model/coded_linear.h"
#include "worker/engine/model/decoder.h"
#include "worker/engine/model/generation_kernels.h"
#include "worker/engine/model/llama.h"

namespace bitsweep::engine {
namespace {

constexpr std::int64_t kVocab = 53;
constexpr kernels::Element kBf16 = kernels::Element::kBf16;

std::int64_t Bytes(const at::Tensor& tensor) {
  return static_cast<std::int64_t>(tensor.nbytes());
}

// 48 inputs: groups of 16 and fewer, none of which fill a block of codes.
class CodedDecoderTest : public ::testing::Test {
 protected:
  CodedDecoderTest()
      : tiny_({.hidden = 48,
               .intermediate = 80,
               .layers = 2,
               .heads = 4,
               .kv_heads = 2,
               .head_dim = 32,
               .vocab = kVocab,
               .positions = 200}) {
    std::string pattern = (std::filesystem::temp_directory_path() / "coded-model-XXXXXX").string();
    dir_ = mkdtemp(pattern.data());
  }
  ~CodedDecoderTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(dir_, ignored);
  }
  std::shared_ptr<const Checkpoint> Coded(int codebooks,
                                          int bits,
                                          int group,
                                          const std::vector<std::string>& dense = {}) const {
    WriteCodedModel(
        tiny_, {.codebooks = codebooks, .codebook_bits = bits, .group_size = group}, dense, dir_);
    return Checkpoint::Open(dir_);
  }
  static std::shared_ptr<const LlamaModel> Load(const Checkpoint& checkpoint, bool keep_codes) {
    return LlamaModel::LoadSpread(checkpoint, at::kBFloat16, {at::kCPU, at::kCPU}, keep_codes);
  }
  static at::Tensor Expand(const CodedProduct& product) {
    const at::Tensor out = at::empty({product.rows(), product.columns()}, at::kBFloat16);
    kernels::CodebookExpandArgs args = product.ExpandArgs(kBf16);
    args.out = out.data_ptr();
    CheckKernel(ChooseGenerationKernels(at::kCPU)->codebook_expand(args, nullptr), "expand");
    return out;
  }
  static at::Tensor LookUp(const CodedProduct& product, const at::Tensor& x) {
    const at::Tensor out = at::empty({x.size(0), product.rows()}, at::kBFloat16);
    kernels::CodebookMatvecArgs args = product.MatvecArgs(kBf16);
    args.rows = x.size(0);
    args.x = x.data_ptr();
    args.out = out.data_ptr();
    CheckKernel(ChooseGenerationKernels(at::kCPU)->codebook_matvec(args, nullptr), "matvec");
    return out;
  }

  const TinyModel tiny_;
  std::string dir_;
};

// Bit for bit what a model holds that was expanded when it was loaded; and a product by look-up is
// the product with those weights, whose roundings it lacks.
TEST_F(CodedDecoderTest, BothProductsAreThoseOfTheExpandedWeights) {
  at::manual_seed(3);
  for (const auto& [codebooks, bits, group] : {std::tuple{2, 8, 8},
                                               {1, 15, 8},
                                               {3, 5, 4},
                                               {1, 12, 16},
                                               {2, 9, 2},
                                               {1, 1, 8},
                                               {1, 16, 8}}) {
    const auto checkpoint = Coded(codebooks, bits, group);
    const auto coded = Load(*checkpoint, true);
    const auto dense = Load(*checkpoint, false);
    ASSERT_EQ(coded->coded.size(), 2U);
    const std::string what = std::to_string(codebooks) + "x" + std::to_string(bits) + ", " +
                             std::to_string(group) + " a group";
    for (std::size_t layer = 0; layer < 2; ++layer) {
      const BlockCodes& codes = coded->coded[layer];
      const BlockWeights& block = dense->blocks[layer];
      EXPECT_FALSE(coded->blocks[layer].down_proj.defined());
      const std::pair<const CodedProduct*, at::Tensor> products[] = {
          {&codes.qkv, FusedRows({block.q_proj, block.k_proj, block.v_proj})},
          {&codes.o, block.o_proj},
          {&codes.gate_up, FusedRows({block.gate_proj, block.up_proj})},
          {&codes.down, block.down_proj}};
      for (const auto& [product, weight] : products) {
        EXPECT_TRUE(at::equal(Expand(*product), weight)) << what;
        EXPECT_EQ(product->has_matvec(), group != 2) << what;
        const at::Tensor x = at::randn({3, product->columns()}).to(at::kBFloat16);
        const at::Tensor want = at::matmul(x.to(at::kDouble), weight.to(at::kDouble).t());
        EXPECT_LT((LookUp(*product, x).to(at::kDouble) - want).abs().max().item<double>(),
                  0.02 * want.abs().max().item<double>())
            << what;
      }
    }
  }
}

TEST_F(CodedDecoderTest, EveryLayoutOfCodebooksHasEveryEntryOnce) {
  for (const auto& [codebooks, bits, group] : {std::tuple{1, 15, 8},
                                               {2, 15, 8},
                                               {4, 15, 8},
                                               {1, 14, 8},
                                               {2, 8, 8},
                                               {2, 12, 8},
                                               {1, 13, 16},
                                               {1, 15, 4},
                                               {1, 16, 8},
                                               {8, 8, 8}}) {
    kernels::CodebookShape shape;
    shape.I = 5;
    shape.M = codebooks;
    shape.g = group;
    shape.bits = bits;
    const kernels::CodebookPlan plan = kernels::PlanCodebookMatvec(shape);
    const std::string what = std::to_string(codebooks) + "x" + std::to_string(bits);
    ASSERT_GT(plan.slice, 0) << what;
    EXPECT_EQ(plan.shared, bits < 16) << what;
    EXPECT_EQ(plan.blocks * plan.books * plan.slice, shape.M * shape.g) << what;
    EXPECT_LE(plan.TableBytes(shape), 128 << 10) << what;
    const at::Tensor codebooks_tensor =
        at::arange(shape.M * shape.K() * shape.g).remainder(2039).to(at::kHalf);
    const CodedLinear linear =
        MakeCodedLinear(shape,
                        at::zeros({3, 5, shape.M}, bits <= 8 ? at::kChar : at::kShort),
                        codebooks_tensor.view({shape.M, shape.K(), 1, shape.g}),
                        at::ones({3}),
                        at::kCPU);
    // [g/d, M, K, d]: weight e of entry k is weight e % d of slice e / d.
    const at::Tensor slices =
        linear.slices.view({shape.g / plan.slice, shape.M, shape.K(), plan.slice});
    EXPECT_TRUE(at::equal(slices.permute({1, 2, 0, 3}).reshape({-1}), codebooks_tensor)) << what;
    EXPECT_EQ(linear.codes.sizes(), (std::vector<std::int64_t>{shape.M, 3, 32}));
  }
}

// Expanded product by product they are the same bits, in prompts and in steps.
TEST_F(CodedDecoderTest, BatchInvariantStepsAreThoseOfTheExpandedModel) {
  // One linear of a product that is dense keeps the product dense.
  for (const std::vector<std::string>& dense :
       {std::vector<std::string>{}, {"self_attn.k_proj", "mlp.down_proj"}}) {
    const auto checkpoint = Coded(2, 7, 8, dense);
    const auto codes = Load(*checkpoint, true);
    EXPECT_EQ(codes->coded[0].qkv.defined(), dense.empty());
    EXPECT_EQ(codes->coded[0].down.defined(), dense.empty());
    EXPECT_TRUE(codes->coded[0].o.defined());
    const auto expanded = MakePagedDecoderModel(Load(*checkpoint, false), at::kCPU);
    const auto whole = MakePagedDecoderModel(codes, at::kCPU);
    const auto divided = MakePagedDecoderModel(CopyTo(*codes, {at::kCPU, at::kCPU}), {0, 1});
    const DecoderOptions options = {.slots = 1, .positions = 90, .batch_invariant = true};
    const auto want = expanded->MakeDecoder(options);
    const auto got = whole->MakeDecoder(options);
    const auto other = divided->MakeDecoder(options);
    const std::vector<std::int64_t> prompt = RandomIds(40, kVocab, 21);
    at::Tensor logits = want->Prefill(prompt).clone();
    EXPECT_TRUE(at::equal(got->Prefill(prompt), logits));
    EXPECT_TRUE(at::equal(other->Prefill(prompt), logits));
    want->Place(0);
    got->Place(0);
    other->Place(0);
    for (std::int64_t step = 0; step < 3; ++step) {
      const std::vector<std::int64_t> token = {logits[0].argmax().item<std::int64_t>()};
      logits = want->Step(token, {40 + step}).clone();
      EXPECT_TRUE(at::equal(got->Step(token, {40 + step}), logits));
      EXPECT_TRUE(at::equal(other->Step(token, {40 + step}), logits));
    }
  }
}

// By look-up sums are rounded elsewhere than with weights that were: near ties apart, the same
// tokens.
TEST_F(CodedDecoderTest, LookedUpStepsChooseTheTokensOfTheExpandedModel) {
  const auto checkpoint = Checkpoint::Open("golden/aqlm-reference/sparrow-1m-AQLM-2bit-code-2x8");
  const auto load = [&](bool keep_codes) {
    return MakePagedDecoderModel(
        LlamaModel::LoadSpread(
            *checkpoint, at::kBFloat16, std::vector<at::Device>(4, at::kCPU), keep_codes),
        at::kCPU);
  };
  const DecoderOptions options = {.slots = 1, .positions = 40};
  const auto want = load(false)->MakeDecoder(options);
  const auto got = load(true)->MakeDecoder(options);
  const std::vector<std::int64_t> prompt = RandomIds(9, 2048, 4);
  at::Tensor expected = want->Prefill(prompt).clone();
  at::Tensor logits = got->Prefill(prompt).clone();
  want->Place(0);
  got->Place(0);
  int ties = 0;
  for (std::int64_t position = 9; position < 30; ++position) {
    const std::int64_t token = expected[0].argmax().item<std::int64_t>();
    const double gap = (logits.max() - logits[0][token]).item<double>();
    EXPECT_LT(gap, 0.25) << "bf16 has 8 bits";
    ties += gap > 0.0 ? 1 : 0;
    EXPECT_LT((logits - expected).abs().mean().item<double>(), 0.1);
    expected = want->Step({token}, {position}).clone();
    logits = got->Step({token}, {position}).clone();
  }
  EXPECT_LE(ties, 2);
}

TEST_F(CodedDecoderTest, BytesAreThoseOfWhatIsLoaded) {
  const auto checkpoint = Coded(1, 15, 8, {"mlp.down_proj"});
  const WeightBytes bytes = WeightBytesOf(*checkpoint, at::kBFloat16);
  const auto count = [](const LlamaModel& model) {
    std::int64_t sum = Bytes(model.embed_tokens) + Bytes(model.lm_head);
    for (const BlockWeights& block : model.blocks) {
      for (const std::string& name : ModelConfig::LinearNames()) {
        const at::Tensor weight = BlockWeights(block).Linear(name);
        sum += weight.defined() ? Bytes(weight) : 0;
      }
    }
    for (const BlockCodes& block : model.coded) {
      for (const CodedProduct* product : {&block.qkv, &block.o, &block.gate_up, &block.down}) {
        for (const CodedLinear& part : product->parts) {
          sum += Bytes(part.codes) + Bytes(part.table) + Bytes(part.scales) +
                 (part.slices.is_same(part.table) ? 0 : Bytes(part.slices));
        }
      }
    }
    return sum;
  };
  EXPECT_EQ(bytes.expanded, count(*Load(*checkpoint, false)));
  EXPECT_EQ(bytes.coded, count(*Load(*checkpoint, true)));
  EXPECT_EQ(bytes.scratch, (128 + 64 + 64) * 48 * 2);
  EXPECT_EQ(bytes.coded_linears, 12);
}

// GiB of a 34B model at 1x15.
TEST(ChooseWeightsTest, CodesAreKeptWhereNoDivisionHoldsTheExpandedModel) {
  const WeightBytes bytes = {
      .expanded = 63LL << 30, .coded = 9LL << 30, .scratch = 1LL << 30, .coded_linears = 336};
  const auto choose =
      [&](WeightsForm form, std::int64_t free_gib, std::int64_t devices, std::int64_t split) {
        return ChooseWeights(form, bytes, free_gib << 30, devices, split, 48).codes;
      };
  EXPECT_TRUE(choose(WeightsForm::kAuto, 23, 1, 0));
  EXPECT_TRUE(choose(WeightsForm::kAuto, 23, 2, 0));
  EXPECT_FALSE(choose(WeightsForm::kAuto, 23, 4, 0));  // Layers over four GPUs.
  EXPECT_TRUE(choose(WeightsForm::kAuto, 23, 4, 1));   // Unless that was not wanted.
  EXPECT_TRUE(choose(WeightsForm::kAuto, 70, 1, 0));   // It would fit, without a cache.
  EXPECT_FALSE(choose(WeightsForm::kAuto, 78, 1, 0));
  EXPECT_FALSE(choose(WeightsForm::kExpanded, 23, 1, 0));
  EXPECT_TRUE(choose(WeightsForm::kCodes, 78, 1, 0));
  EXPECT_FALSE(
      ChooseWeights(WeightsForm::kAuto, {.expanded = 63LL << 30}, 1 << 30, 1, 0, 48).codes);
  try {
    ChooseWeights(WeightsForm::kCodes, {.expanded = 1}, 100, 1, 0, 48);
    FAIL() << "there are no codes";
  } catch (const EngineError& error) {
    EXPECT_EQ(error.failure(), FailureClass::kBadInput);
    EXPECT_NE(std::string(error.what()).find("weights codes"), std::string::npos);
  }
}

TEST_F(CodedDecoderTest, CodesWithoutAPagedCacheAreRefused) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    try {
      PlaceDecoderModels(*Coded(1, 8, 8), dtype, {at::kCPU}, 0, WeightsForm::kCodes);
      FAIL() << "the CPU's decoders have no codes";
    } catch (const EngineError& error) {
      EXPECT_EQ(error.failure(), FailureClass::kBadInput);
      EXPECT_NE(std::string(error.what()).find("weights codes"), std::string::npos);
    }
    EXPECT_FALSE(PlaceDecoderModels(*Coded(1, 8, 8), dtype, {at::kCPU}, 0)[0].weights.codes);
  }
}

}  // namespace
}  // namespace bitsweep::engine
