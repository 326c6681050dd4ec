#include "worker/engine/checkpoint/model_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/engine_io/test_folder.h"

namespace bitsweep::engine {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

nlohmann::json SmallConfig() {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"hidden_act", "silu"},
          {"hidden_size", 64},
          {"intermediate_size", 96},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 4},
          {"vocab_size", 100},
          {"max_position_embeddings", 256},
          {"rms_norm_eps", 1e-5},
          {"bos_token_id", 1},
          {"eos_token_id", 2}};
}

ModelConfig Load(const nlohmann::json& config) {
  const TestFolder folder;
  folder.Write("config.json", config.dump());
  return LoadModelConfig(folder.path());
}

std::string Refused(const std::string& key, const nlohmann::json& value) {
  nlohmann::json config = SmallConfig();
  config[key] = value;
  return BadInputOf([&] { Load(config); });
}

TEST(ModelConfigTest, BothStylesOfRotaryEmbeddingAreRead) {
  const ModelConfig sparrow = LoadModelConfig(kModels + "sparrow-1m");
  EXPECT_EQ(sparrow.rope.type, "default");
  EXPECT_EQ(sparrow.rope.theta, 1'000'000.0);
  EXPECT_EQ(sparrow.head_dim, 32);
  const ModelConfig finch = LoadModelConfig(kModels + "finch-4m");
  EXPECT_EQ(finch.rope.type, "linear");
  EXPECT_EQ(finch.rope.factor, 4.0);
  EXPECT_EQ(finch.rope.theta, 100'000.0);
  const ModelConfig reference = LoadModelConfig(kAqlmReference);  // rope_parameters
  EXPECT_EQ(reference.rope.theta, 1'000'000.0);
  EXPECT_EQ(reference.rope.type, "default");
  ASSERT_TRUE(reference.aqlm.has_value());
  EXPECT_EQ(reference.aqlm->codebooks, 2);
  EXPECT_EQ(reference.aqlm->codebook_bits, 8);
  EXPECT_EQ(reference.aqlm->group_size, 8);
}

TEST(ModelConfigTest, Llama3ScalingIsReadInFull) {
  nlohmann::json config = SmallConfig();
  config["rope_scaling"] = {{"rope_type", "llama3"},
                            {"factor", 8.0},
                            {"low_freq_factor", 1.0},
                            {"high_freq_factor", 4.0},
                            {"original_max_position_embeddings", 128}};
  const ModelConfig read = Load(config);
  EXPECT_EQ(read.rope.type, "llama3");
  EXPECT_EQ(read.rope.factor, 8.0);
  EXPECT_EQ(read.rope.original_max_position_embeddings, 128);
}

TEST(ModelConfigTest, GroupedQueriesShrinkKeysAndValues) {
  nlohmann::json config = SmallConfig();
  EXPECT_EQ(Load(config).num_kv_heads, 4);
  config["num_key_value_heads"] = 2;
  const ModelConfig read = Load(config);
  EXPECT_EQ(read.LinearShape("self_attn.q_proj"), std::pair(std::int64_t{64}, std::int64_t{64}));
  EXPECT_EQ(read.LinearShape("self_attn.k_proj"), std::pair(std::int64_t{32}, std::int64_t{64}));
  EXPECT_EQ(read.LinearShape("mlp.down_proj"), std::pair(std::int64_t{64}, std::int64_t{96}));
}

TEST(ModelConfigTest, EveryEndOfTextIdCounts) {
  const TestFolder folder;
  nlohmann::json config = SmallConfig();
  config["eos_token_id"] = {2, 7};
  folder.Write("config.json", config.dump());
  folder.Write("generation_config.json", R"({"eos_token_id": [7, 9]})");
  EXPECT_THAT(LoadModelConfig(folder.path()).eos_token_ids, ElementsAre(2, 7, 9));
}

TEST(ModelConfigTest, WhatIsNotSupportedIsRefusedByName) {
  EXPECT_THAT(Refused("model_type", "mistral"),
              AllOf(HasSubstr("model_type"), HasSubstr("mistral")));
  EXPECT_THAT(Refused("architectures", {"GPT2LMHeadModel"}), HasSubstr("GPT2LMHeadModel"));
  EXPECT_THAT(Refused("hidden_act", "gelu"), AllOf(HasSubstr("hidden_act"), HasSubstr("silu")));
  EXPECT_THAT(Refused("attention_bias", true), HasSubstr("attention_bias"));
  EXPECT_THAT(Refused("mlp_bias", true), HasSubstr("mlp_bias"));
  EXPECT_THAT(Refused("rope_scaling", {{"type", "yarn"}, {"factor", 2.0}}),
              AllOf(HasSubstr("rope_scaling.type"), HasSubstr("yarn")));
  EXPECT_THAT(Refused("rope_parameters", {{"rope_type", "linear"}, {"factor", 2.0}, {"beta", 1}}),
              HasSubstr("rope_parameters.beta"));
  EXPECT_THAT(Refused("rope_scaling", {{"type", "linear"}}), HasSubstr("rope_scaling.factor"));
  EXPECT_THAT(Refused("quantization_config", {{"quant_method", "gptq"}}), HasSubstr("gptq"));
  EXPECT_THAT(Refused("num_key_value_heads", 3), HasSubstr("num_key_value_heads"));
  EXPECT_THAT(Refused("hidden_size", 0), HasSubstr("hidden_size"));
  EXPECT_THAT(Refused("hidden_size", "64"), HasSubstr("hidden_size"));
  EXPECT_THAT(Refused("quantization_config",
                      {{"quant_method", "aqlm"},
                       {"num_codebooks", 1},
                       {"nbits_per_codebook", 8},
                       {"in_group_size", 40}}),
              HasSubstr("in_group_size"));
}

TEST(ModelConfigTest, AMissingFolderAndAMissingConfigReadDifferently) {
  const TestFolder folder;
  EXPECT_THAT(BadInputOf([&] { LoadModelConfig(folder.path()); }),
              HasSubstr("not a Hugging Face model folder"));
  EXPECT_THAT(BadInputOf([&] { LoadModelConfig(folder.File("nowhere")); }),
              HasSubstr("there is no such folder"));
}

}  // namespace
}  // namespace bitsweep::engine
