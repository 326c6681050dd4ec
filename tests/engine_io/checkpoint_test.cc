#include "worker/engine/checkpoint/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "tests/engine_io/test_folder.h"
#include "worker/engine/checkpoint/manifest.h"
#include "worker/engine/checkpoint/measure.h"
#include "worker/engine/checkpoint/sha256.h"

namespace bitsweep::engine {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// sparrow-1m cut into two shards with an index, in a folder of the test.
void WriteShards(const TestFolder& folder) {
  const auto source = SafetensorsFile::Open(kModels + "sparrow-1m/model.safetensors");
  NamedTensors shards[2];
  nlohmann::json index;
  int next = 0;
  for (const auto& [name, entry] : source->entries()) {
    const int shard = next++ % 2;
    shards[shard].emplace_back(name, source->Get(name));
    index["weight_map"][name] = "part-" + std::to_string(shard) + ".safetensors";
  }
  WriteSafetensors(folder.File("part-0.safetensors"), shards[0]);
  WriteSafetensors(folder.File("part-1.safetensors"), shards[1]);
  folder.Write("model.safetensors.index.json", index.dump());
  folder.CopyFrom(kModels + "sparrow-1m", "config.json");
}

TEST(CheckpointTest, ShardsAreOneModel) {
  const TestFolder folder;
  WriteShards(folder);
  const auto sharded = Checkpoint::Open(folder.path());
  const auto single = Checkpoint::Open(kModels + "sparrow-1m");
  EXPECT_EQ(sharded->tensors().size(), single->tensors().size());
  EXPECT_TRUE(at::equal(sharded->Get("lm_head.weight"), single->Get("lm_head.weight")));
  EXPECT_EQ(sharded->WeightFiles().size(), 2U);
}

TEST(CheckpointTest, AMissingShardIsNamedWithTheIndexThatWantsIt) {
  const TestFolder folder;
  WriteShards(folder);
  std::filesystem::remove(folder.File("part-1.safetensors"));
  EXPECT_THAT(BadInputOf([&] { Checkpoint::Open(folder.path()); }),
              AllOf(HasSubstr("part-1.safetensors is missing"),
                    HasSubstr("model.safetensors.index.json"),
                    HasSubstr("again")));
}

TEST(CheckpointTest, AnIndexMayNotLeaveItsFolder) {
  const TestFolder folder;
  folder.CopyFrom(kModels + "sparrow-1m", "config.json");
  folder.Write("model.safetensors.index.json", R"({"weight_map": {"x": "../../etc/passwd"}})");
  EXPECT_THAT(BadInputOf([&] { Checkpoint::Open(folder.path()); }), HasSubstr("weight_map.x"));
}

TEST(CheckpointTest, FoldersWithoutWeightsSayWhatToDo) {
  const TestFolder folder;
  folder.CopyFrom(kModels + "sparrow-1m", "config.json");
  EXPECT_THAT(BadInputOf([&] { Checkpoint::Open(folder.path()); }), HasSubstr("no weights"));
  folder.Write("model-block-00000.safetensors", "");
  EXPECT_THAT(BadInputOf([&] { Checkpoint::Open(folder.path()); }),
              HasSubstr("unfinished quantization"));
  folder.Write("pytorch_model.bin", "");
  EXPECT_THAT(BadInputOf([&] { Checkpoint::Open(folder.path()); }),
              AllOf(HasSubstr("pytorch_model.bin"), HasSubstr("save_file"), HasSubstr("weights_only=True")));
}

// Opens sparrow-1m with one tensor replaced; an undefined tensor removes it.
std::string OpenWith(const std::string& name, const at::Tensor& replacement) {
  const TestFolder folder;
  folder.CopyFrom(kModels + "sparrow-1m", "config.json");
  const auto source = SafetensorsFile::Open(kModels + "sparrow-1m/model.safetensors");
  NamedTensors tensors;
  for (const auto& [other, entry] : source->entries()) {
    if (other != name) {
      tensors.emplace_back(other, source->Get(other));
    }
  }
  if (replacement.defined()) {
    tensors.emplace_back(name, replacement);
  }
  WriteSafetensors(folder.File("model.safetensors"), tensors);
  return BadInputOf([&] { Checkpoint::Open(folder.path()); });
}

TEST(CheckpointTest, MissingMisshapedAndUnknownTensorsAreNamed) {
  const std::string q = "model.layers.2.self_attn.q_proj.weight";
  EXPECT_THAT(OpenWith(q, {}), AllOf(HasSubstr(q), HasSubstr("[128, 128]")));
  EXPECT_THAT(OpenWith(q, at::zeros({128, 64}).to(at::kHalf)),
              AllOf(HasSubstr(q), HasSubstr("[128, 64]"), HasSubstr("[128, 128]")));
  EXPECT_THAT(OpenWith(q, at::zeros({128, 128}).to(at::kInt)),
              AllOf(HasSubstr(q), HasSubstr("I32")));
  EXPECT_THAT(OpenWith("model.layers.2.self_attn.q_proj.bias", at::zeros({128})),
              HasSubstr("q_proj.bias' is not part of"));
  EXPECT_THAT(OpenWith("model.layers.4.input_layernorm.weight", at::zeros({128})),
              HasSubstr("layers.4"));
}

TEST(CheckpointTest, ATiedModelNeedsNoHead) {
  const TestFolder folder;
  nlohmann::json config = nlohmann::json::parse(ReadText(kModels + "sparrow-1m/config.json"));
  config["tie_word_embeddings"] = true;
  folder.Write("config.json", config.dump());
  const auto source = SafetensorsFile::Open(kModels + "sparrow-1m/model.safetensors");
  NamedTensors tensors;
  for (const auto& [name, entry] : source->entries()) {
    if (name != "lm_head.weight") {
      tensors.emplace_back(name, source->Get(name));
    }
  }
  WriteSafetensors(folder.File("model.safetensors"), tensors);
  const auto tied = Checkpoint::Open(folder.path());
  EXPECT_FALSE(tied->Has("lm_head.weight"));
  EXPECT_EQ(MeasureCheckpoint(*tied).parameters, 1'328'256 - 2048 * 128);
}

TEST(CheckpointTest, CodesSurviveTheirStoredFormAtEveryWidth) {
  for (const int bits : {1, 2, 7, 8, 9, 12, 15, 16}) {
    const std::int64_t size = std::int64_t{1} << bits;
    const at::Tensor codes = at::arange(size, at::kInt).reshape({1, size, 1});
    const at::Tensor stored = CodesToStored(codes, bits);
    EXPECT_EQ(stored.scalar_type(), bits <= 8 ? at::kChar : at::kShort);
    // A code wraps at half of the codebook, not at half of the stored type.
    EXPECT_EQ(stored.reshape({-1})[size - 1].item<int>(), -1);
    EXPECT_EQ(stored.reshape({-1})[size / 2].item<std::int64_t>(), -(size / 2));
    EXPECT_TRUE(at::equal(CodesFromStored(stored, bits), codes)) << bits;
  }
}

TEST(CheckpointTest, CodesOutsideTheCodebookAreRefused) {
  EXPECT_THAT(BadInputOf([] {
                CodesToStored(at::full({1, 1, 1}, 256, at::kInt), 8);
              }),
              HasSubstr("256"));
  EXPECT_THAT(BadInputOf([] {
                CodesFromStored(at::full({1, 1, 1}, 100, at::kShort), 4);
              }),
              HasSubstr("100"));
}

TEST(CheckpointTest, DequantizeIsTheDefinition) {
  // O 2, I 2, M 2, K 4, g 3; every entry of a codebook is 10 m + k + position / 10.
  QuantizedLinear linear;
  linear.codes = at::tensor({0, 1, 2, 3, 3, 2, 1, 0}, at::kInt).reshape({2, 2, 2});
  at::Tensor codebooks = at::empty({2, 4, 1, 3});
  for (int m = 0; m < 2; ++m) {
    for (int k = 0; k < 4; ++k) {
      for (int i = 0; i < 3; ++i) {
        codebooks[m][k][0][i] = 10.0 * m + k + 0.1 * i;
      }
    }
  }
  linear.codebooks = codebooks;
  linear.scales = at::tensor({1.0F, 2.0F}).reshape({2, 1, 1, 1});
  const at::Tensor want = at::tensor({11.0F,
                                      11.2F,
                                      11.4F,
                                      15.0F,
                                      15.2F,
                                      15.4F,  //
                                      30.0F,
                                      30.4F,
                                      30.8F,
                                      22.0F,
                                      22.4F,
                                      22.8F})
                              .reshape({2, 6});
  EXPECT_TRUE(at::allclose(Dequantize(linear), want));
  linear.scales = at::ones({3, 1, 1, 1});
  EXPECT_THAT(BadInputOf([&] { Dequantize(linear); }), HasSubstr("scales [3, 1, 1, 1]"));
}

TEST(CheckpointTest, TheReferenceQuantizersCheckpointOpensAndComesCloseToTheModel) {
  const auto reference = Checkpoint::Open(kAqlmReference);
  const auto plain = Checkpoint::Open(kModels + "sparrow-1m");
  for (std::int64_t layer = 0; layer < reference->config().num_layers; ++layer) {
    for (const std::string& linear : ModelConfig::LinearNames()) {
      const std::string prefix = "model.layers." + std::to_string(layer) + "." + linear;
      EXPECT_TRUE(reference->IsQuantized(prefix));
      const at::Tensor got = reference->LinearWeight(prefix);
      const at::Tensor want = plain->LinearWeight(prefix);
      ASSERT_EQ(got.sizes(), want.sizes());
      // At 2x8 the relative error of the weights is about a quarter; wrong codes give 1 and more.
      const double error = ((got - want).norm() / want.norm()).item<double>();
      EXPECT_LT(error, 0.6) << prefix;
    }
  }
}

TEST(CheckpointTest, EffectiveBitsAreMeasured) {
  const CheckpointSize quantized = MeasureCheckpoint(*Checkpoint::Open(kAqlmReference));
  EXPECT_EQ(quantized.parameters, 1'328'256);
  EXPECT_EQ(quantized.linear_parameters, 802'816);
  EXPECT_NEAR(quantized.packed_effective_bits, 4.393, 0.001);
  EXPECT_NEAR(quantized.stored_effective_bits, 4.393, 0.001);
  const CheckpointSize plain = MeasureCheckpoint(*Checkpoint::Open(kModels + "finch-4m"));
  EXPECT_EQ(plain.parameters, 4'576'096);
  EXPECT_EQ(plain.packed_effective_bits, 16.0);
  EXPECT_EQ(plain.stored_bytes, 2 * 4'576'096);
}

TEST(ManifestTest, ListsEveryFileWithItsDigestAndOneOverAll) {
  Events events(-1);
  const auto checkpoint = Checkpoint::Open(kModels + "sparrow-1m");
  const nlohmann::json manifest = MakeManifest(*checkpoint, events);
  ASSERT_EQ(manifest["files"].size(), 4U);
  for (const nlohmann::json& file : manifest["files"]) {
    const std::string text = ReadText(checkpoint->dir() + "/" + file["name"].get<std::string>());
    EXPECT_EQ(file["size"], text.size());
    EXPECT_EQ(file["sha256"], Sha256Hex(text));
  }
  EXPECT_EQ(manifest["digest"], Sha256Hex(manifest["files"].dump()));
  EXPECT_EQ(manifest["tokenizer"]["add_bos"], true);
  EXPECT_TRUE(manifest["quantized"].is_null());
  const nlohmann::json reference = MakeManifest(*Checkpoint::Open(kAqlmReference), events);
  EXPECT_TRUE(reference["tokenizer"].is_null());
  EXPECT_EQ(reference["quantized"],
            nlohmann::json({{"codebooks", 2}, {"codebook_bits", 8}, {"group_size", 8}}));
  std::vector<std::string> keys;
  for (const auto& [key, value] : manifest.items()) {
    keys.push_back(key);
  }
  EXPECT_THAT(
      keys,
      ::testing::UnorderedElementsAre(
          "format", "digest", "files", "config", "tokenizer", "parameters", "bytes", "quantized"));
}

}  // namespace
}  // namespace bitsweep::engine
