#include "worker/engine/quantize/method_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "worker/engine/error.h"

namespace bitsweep::engine {
namespace {

LinearQuantizeOptions Read(const nlohmann::json& method) {
  return ReadMethod(StrictObject(method, "spec.json", "/method"));
}

std::string Refusal(const nlohmann::json& method) {
  try {
    Read(method);
  } catch (const EngineError& error) {
    EXPECT_EQ(error.failure(), FailureClass::kBadInput);
    return error.what();
  }
  return "accepted";
}

TEST(MethodOptionsTest, WhatIsWrittenIsRead) {
  LinearQuantizeOptions options;
  options.codebooks = 3;
  options.codebook_bits = 12;
  options.codebook_update = CodebookUpdate::kAdam;
  options.relative_mse_tolerance = 0.25;
  options.sweeps = 7;
  options.initialisation = Initialisation::kWeightedKmeans;
  EXPECT_EQ(MethodJson(Read(MethodJson(options))), MethodJson(options));
}

TEST(MethodOptionsTest, BlockTuningIsOffUnlessAskedFor) {
  nlohmann::json method = {{"codebooks", 2}, {"codebook_bits", 8}};
  std::optional<BlockTuneOptions> tuning;
  ReadMethod(StrictObject(method, "spec.json", "/method"), &tuning);
  EXPECT_FALSE(tuning.has_value());
  method["block_tuning"] = {{"learning_rate", 0.5}, {"products", "bf16"}};
  const LinearQuantizeOptions options =
      ReadMethod(StrictObject(method, "spec.json", "/method"), &tuning);
  ASSERT_TRUE(tuning.has_value());
  EXPECT_EQ(tuning->learning_rate, 0.5);
  EXPECT_EQ(tuning->epochs, BlockTuneOptions().epochs);
  EXPECT_EQ(tuning->products, Products::kBf16);
  EXPECT_EQ(MethodJson(options, tuning).at("block_tuning").at("learning_rate"), 0.5);
  EXPECT_EQ(MethodJson(options, tuning).at("block_tuning").at("products"), "bf16");
  EXPECT_FALSE(MethodJson(options).contains("block_tuning"));
  EXPECT_THAT(Refusal(method), testing::HasSubstr("block_tuning")) << "a linear has no block";
}

TEST(MethodOptionsTest, NamesWhatItRefuses) {
  using testing::HasSubstr;
  EXPECT_THAT(Refusal({{"codebooks", 2}}), HasSubstr("codebook_bits"));
  EXPECT_THAT(Refusal({{"codebooks", 2}, {"codebook_bits", 17}}), HasSubstr("codebook_bits"));
  EXPECT_THAT(Refusal({{"codebooks", 2}, {"codebook_bits", 8}, {"beam_size", 65}}),
              HasSubstr("beam_size is 65, allowed: 1 to 64"));
  EXPECT_THAT(Refusal({{"codebooks", 2}, {"codebook_bits", 8}, {"codeboks", 4}}),
              HasSubstr("codeboks"));
  EXPECT_THAT(Refusal({{"codebooks", 2}, {"codebook_bits", 8}, {"initialisation", "random"}}),
              HasSubstr("weighted-kmeans"));
  EXPECT_THAT(Refusal({{"codebooks", 2}, {"codebook_bits", 8}, {"sweeps", 0}}),
              HasSubstr("sweeps"));
}

}  // namespace
}  // namespace bitsweep::engine
