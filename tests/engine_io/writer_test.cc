#include "worker/engine/checkpoint/writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "tests/engine_io/test_folder.h"

namespace bitsweep::engine {
namespace {

using ::testing::HasSubstr;

constexpr AqlmConfig kAqlm{2, 9, 8};

class CheckpointWriterTest : public ::testing::Test {
 protected:
  CheckpointWriterTest() : source_(Checkpoint::Open(kModels + "sparrow-1m")) { at::manual_seed(7); }

  std::map<std::string, QuantizedLinear> RandomBlock(std::int64_t layer) {
    std::map<std::string, QuantizedLinear> linears;
    for (const std::string& name : ModelConfig::LinearNames()) {
      const auto [rows, columns] = source_->config().LinearShape(name);
      linears[name] = {at::randint(512, {rows, columns / 8, 2}, at::kInt),
                       at::randn({2, 512, 1, 8}),
                       at::rand({rows, 1, 1, 1}) + static_cast<double>(layer)};
    }
    return linears;
  }
  BlockNorms Norms(std::int64_t layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    return {source_->Get(prefix + "input_layernorm.weight"),
            source_->Get(prefix + "post_attention_layernorm.weight")};
  }

  TestFolder folder_;
  std::shared_ptr<const Checkpoint> source_;
};

TEST_F(CheckpointWriterTest, WhatWasWrittenOpensEqual) {
  CheckpointWriter writer(folder_.path(), source_, kAqlm, "run");
  std::vector<std::map<std::string, QuantizedLinear>> blocks;
  for (std::int64_t layer = 0; layer < 4; ++layer) {
    blocks.push_back(RandomBlock(layer));
    EXPECT_FALSE(writer.HasBlock(layer));
    EXPECT_EQ(writer.WriteBlock(layer, blocks.back(), Norms(layer)),
              CheckpointWriter::BlockFileName(layer));
    EXPECT_TRUE(writer.HasBlock(layer));
  }
  EXPECT_THAT(BadInputOf([&] { Checkpoint::Open(folder_.path()); }), HasSubstr("config.json"));
  writer.Finish();
  const auto read = Checkpoint::Open(folder_.path());
  for (std::int64_t layer = 0; layer < 4; ++layer) {
    for (const auto& [name, want] : blocks[static_cast<std::size_t>(layer)]) {
      const QuantizedLinear got =
          read->GetQuantized("model.layers." + std::to_string(layer) + "." + name);
      EXPECT_TRUE(at::equal(got.codes, want.codes));
      EXPECT_TRUE(at::equal(got.codebooks, want.codebooks.to(at::kHalf).to(at::kFloat)));
      EXPECT_TRUE(at::equal(got.scales, want.scales.to(at::kHalf).to(at::kFloat)));
    }
  }
  for (const char* name : {"lm_head.weight", "model.embed_tokens.weight", "model.norm.weight"}) {
    EXPECT_TRUE(at::equal(read->Get(name), source_->Get(name)));
  }
  EXPECT_EQ(ReadText(folder_.File("tokenizer.json")), ReadText(source_->dir() + "/tokenizer.json"));
}

TEST_F(CheckpointWriterTest, TheConfigSaysWhatTransformersNeeds) {
  CheckpointWriter writer(folder_.path(), source_, kAqlm);
  for (std::int64_t layer = 0; layer < 4; ++layer) {
    writer.WriteBlock(layer, RandomBlock(layer), Norms(layer));
  }
  writer.Finish();
  const nlohmann::json config = nlohmann::json::parse(ReadText(folder_.File("config.json")));
  const nlohmann::json& quantization = config["quantization_config"];
  EXPECT_EQ(config["torch_dtype"], "float16");
  EXPECT_EQ(quantization["quant_method"], "aqlm");
  EXPECT_EQ(quantization["nbits_per_codebook"], 9);
  EXPECT_EQ(quantization["num_codebooks"], 2);
  EXPECT_EQ(quantization["in_group_size"], 8);
  EXPECT_EQ(quantization["out_group_size"], 1);
  // The reference's list for the same model, in any order, and the module that transformers 5 names.
  const nlohmann::json reference = nlohmann::json::parse(ReadText(kAqlmReference + "/config.json"));
  const auto names = [](const nlohmann::json& object) {
    return object["linear_weights_not_to_quantize"].get<std::set<std::string>>();
  };
  std::set<std::string> expected = names(reference["quantization_config"]);
  expected.insert("lm_head");
  EXPECT_EQ(names(quantization), expected);
  const nlohmann::json index =
      nlohmann::json::parse(ReadText(folder_.File("model.safetensors.index.json")));
  std::int64_t bytes = 0;
  for (const auto& [name, file] : index["weight_map"].items()) {
    const auto entry =
        SafetensorsFile::Open(folder_.File(file.get<std::string>()))->entries().at(name);
    bytes += static_cast<std::int64_t>(entry.end - entry.begin);
  }
  EXPECT_EQ(index["metadata"]["total_size"], bytes);
  EXPECT_EQ(SafetensorsFile::Open(folder_.File("model-rest.safetensors"))->metadata().at("format"),
            "pt");
}

TEST_F(CheckpointWriterTest, AResumedRunKeepsWholeBlocksOfItsOwnOnly) {
  {
    CheckpointWriter first(folder_.path(), source_, kAqlm, "seed 0");
    for (std::int64_t layer = 0; layer < 3; ++layer) {
      first.WriteBlock(layer, RandomBlock(layer), Norms(layer));
    }
  }
  const std::string torn = ReadText(folder_.File(CheckpointWriter::BlockFileName(1)));
  folder_.Write(CheckpointWriter::BlockFileName(1), torn.substr(0, torn.size() / 2));
  const CheckpointWriter resumed(folder_.path(), source_, kAqlm, "seed 0");
  EXPECT_TRUE(resumed.HasBlock(0));
  EXPECT_FALSE(resumed.HasBlock(1));
  EXPECT_TRUE(resumed.HasBlock(2));
  EXPECT_FALSE(resumed.HasBlock(3));
  EXPECT_EQ(resumed.ReadBlock(2).size(), 7U);
  EXPECT_EQ(resumed.ReadBlockNorms(2).input_layernorm.numel(), 128);
  EXPECT_FALSE(CheckpointWriter(folder_.path(), source_, kAqlm, "seed 1").HasBlock(0));
  EXPECT_FALSE(
      CheckpointWriter(folder_.path(), source_, AqlmConfig{2, 8, 8}, "seed 0").HasBlock(0));
}

TEST_F(CheckpointWriterTest, AnUnfinishedRunIsNeverAModel) {
  CheckpointWriter writer(folder_.path(), source_, kAqlm, "a");
  for (std::int64_t layer = 0; layer < 4; ++layer) {
    writer.WriteBlock(layer, RandomBlock(layer), Norms(layer));
  }
  writer.Finish();
  // Another run in the same folder: its first block takes the old index away.
  CheckpointWriter other(folder_.path(), source_, kAqlm, "b");
  other.WriteBlock(0, RandomBlock(0), Norms(0));
  EXPECT_THAT(BadInputOf([&] { Checkpoint::Open(folder_.path()); }),
              HasSubstr("unfinished quantization"));
  try {
    other.Finish();
    ADD_FAILURE() << "finished without its blocks";
  } catch (const EngineError& error) {
    EXPECT_EQ(error.failure(), FailureClass::kBug);
  }
}

TEST_F(CheckpointWriterTest, ValuesBeyondFloat16AndWrongShapesAreRefused) {
  CheckpointWriter writer(folder_.path(), source_, kAqlm);
  auto block = RandomBlock(0);
  block["mlp.up_proj"].scales = block["mlp.up_proj"].scales * 1e6;
  try {
    writer.WriteBlock(0, block, Norms(0));
    ADD_FAILURE() << "an infinite scale was written";
  } catch (const EngineError& error) {
    EXPECT_EQ(error.failure(), FailureClass::kDiverged);
    EXPECT_THAT(error.what(), HasSubstr("mlp.up_proj.scales"));
  }
  block = RandomBlock(0);
  block.erase("mlp.up_proj");
  EXPECT_THAT(BadInputOf([&] { writer.WriteBlock(0, block, Norms(0)); }), HasSubstr("tensors"));
  EXPECT_FALSE(writer.HasBlock(0));
}

TEST_F(CheckpointWriterTest, AQuantizedModelIsNotQuantizedAgain) {
  EXPECT_THAT(BadInputOf([&] {
                CheckpointWriter(folder_.path(), Checkpoint::Open(kAqlmReference), kAqlm);
              }),
              HasSubstr("already quantized"));
}

}  // namespace
}  // namespace bitsweep::engine
