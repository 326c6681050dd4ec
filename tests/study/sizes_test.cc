#include "coordinator/study/sizes.h"

#include <fmt/format.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bitsweep {
namespace {

using ::testing::HasSubstr;

// design/study.md section 2: label -> codebooks x bits, group size 8.
PrecisionSpec Precision(int codebooks, int bits) {
  PrecisionSpec precision;
  precision.label = fmt::format("{}x{}", codebooks, bits);
  precision.codebooks = codebooks;
  precision.codebook_bits = bits;
  return precision;
}

std::string Gigabytes(std::int64_t bytes) {
  return fmt::format("{:.2f}", static_cast<double>(bytes) / 1e9);
}

std::string Stored(const char* model, int codebooks, int bits) {
  return Gigabytes(PredictCheckpoint(*NamedShape(model), Precision(codebooks, bits)).stored_bytes);
}

std::string Packed(const char* model, int codebooks, int bits) {
  return Gigabytes(PredictCheckpoint(*NamedShape(model), Precision(codebooks, bits)).packed_bytes);
}

TEST(SizesTest, PublishedSizesAreReproducedToThePrintedDigit) {
  EXPECT_EQ(Stored("CodeLlama-7b-hf", 4, 15), "7.47");
  EXPECT_EQ(Stored("deepseek-coder-6.7b-base", 4, 15), "7.48");
  for (const char* model : {"CodeLlama-7b-hf", "deepseek-coder-6.7b-base"}) {
    EXPECT_EQ(Stored(model, 2, 15), "4.00");
    EXPECT_EQ(Stored(model, 2, 12), "3.80");
  }
  EXPECT_EQ(Stored("CodeLlama-7b-hf", 1, 15), "2.26");
  EXPECT_EQ(Stored("deepseek-coder-6.7b-base", 1, 15), "2.27");
  EXPECT_EQ(Stored("CodeLlama-13b-hf", 1, 15), "3.98");
  EXPECT_EQ(Stored("CodeLlama-34b-hf", 1, 15), "9.54");
  EXPECT_EQ(Stored("deepseek-coder-33b-base", 1, 15), "9.38");
  EXPECT_EQ(Stored("deepseek-coder-1.3b-base", 1, 15), "0.66");
}

TEST(SizesTest, PackedSizesSaveTheUnusedBitsOfInt16) {
  EXPECT_EQ(Packed("CodeLlama-7b-hf", 4, 15), "7.07");
  EXPECT_EQ(Packed("CodeLlama-7b-hf", 2, 15), "3.80");
  EXPECT_EQ(Packed("CodeLlama-7b-hf", 2, 12), "2.99");
  EXPECT_EQ(Packed("CodeLlama-7b-hf", 1, 15), "2.16");
}

TEST(SizesTest, EffectiveBitsAt7BAreTheStudys) {
  const ModelShape shape = *NamedShape("CodeLlama-7b-hf");
  const struct {
    int codebooks, bits;
    double packed, stored;
  } rows[] = {
      {4, 15, 8.084, 8.584}, {2, 15, 4.044, 4.294}, {2, 12, 3.040, 4.040}, {1, 15, 2.023, 2.148}};
  for (const auto& row : rows) {
    const CheckpointSize size = PredictCheckpoint(shape, Precision(row.codebooks, row.bits));
    EXPECT_NEAR(size.packed_effective_bits, row.packed, 5e-4) << row.codebooks << "x" << row.bits;
    EXPECT_NEAR(size.stored_effective_bits, row.stored, 5e-4) << row.codebooks << "x" << row.bits;
  }
  const CheckpointSize small =
      PredictCheckpoint(*NamedShape("deepseek-coder-1.3b-base"), Precision(1, 15));
  EXPECT_NEAR(small.packed_effective_bits, 2.46, 5e-3);
  EXPECT_NEAR(small.stored_effective_bits, 2.59, 5e-3);
}

TEST(SizesTest, UnquantizedSizesAreTheTrueOnes) {
  EXPECT_EQ(Gigabytes(Fp16Bytes(*NamedShape("CodeLlama-7b-hf"))), "13.48");
  EXPECT_EQ(Gigabytes(Fp16Bytes(*NamedShape("codellama/CodeLlama-13b-hf"))), "26.03");
  EXPECT_EQ(Gigabytes(Fp16Bytes(*NamedShape("CodeLlama-34b-hf"))), "67.49");
  EXPECT_EQ(Gigabytes(Fp16Bytes(*NamedShape("deepseek-coder-33b-base"))), "66.69");
  EXPECT_EQ(Gigabytes(Fp16Bytes(*NamedShape("deepseek-coder-1.3b-base"))), "2.69");
  EXPECT_FALSE(NamedShape("sparrow-1m").has_value());
}

constexpr const char* kSparrow1m =
    R"({"model_type": "llama", "hidden_size": 128, "intermediate_size": 352,
  "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 4, "vocab_size": 2048,
  "tie_word_embeddings": false})";

TEST(SizesTest, CodebooksOfASmallModelWeighALot) {
  const absl::StatusOr<ModelShape> shape = ParseModelShape(kSparrow1m, "config.json");
  ASSERT_TRUE(shape.ok()) << shape.status();
  EXPECT_EQ(ParameterCount(*shape), 1'328'256);
  const CheckpointSize size = PredictCheckpoint(*shape, Precision(2, 8));
  EXPECT_NEAR(size.stored_effective_bits, 4.39, 5e-3);
  EXPECT_EQ(size.stored_bytes, size.packed_bytes) << "8-bit codes waste nothing";
}

TEST(SizesTest, BadConfigsAreNamed) {
  const auto message = [](const std::string& text) {
    return std::string(ParseModelShape(text, "m/config.json").status().message());
  };
  EXPECT_THAT(message("[]"), HasSubstr("m/config.json: not a JSON object"));
  EXPECT_THAT(message(R"({"hidden_size": 8})"), HasSubstr("key 'intermediate_size' is missing"));
  EXPECT_THAT(message(R"({"hidden_size": "8"})"), HasSubstr("hidden_size: found \"8\""));
  EXPECT_THAT(message(R"({"model_type": "gpt2"})"), HasSubstr("model_type: found 'gpt2'"));
}

TEST(SizesTest, GroupsMustDivideEveryLinear) {
  const absl::StatusOr<ModelShape> shape = ParseModelShape(kSparrow1m, "config.json");
  ASSERT_TRUE(shape.ok());
  PrecisionSpec precision = Precision(1, 8);
  precision.group_size = 32;
  EXPECT_TRUE(CheckGroups(*shape, precision).ok()) << "352 = 11 x 32";
  ModelShape odd = *shape;
  odd.intermediate = 356;
  precision.group_size = 8;
  EXPECT_THAT(std::string(CheckGroups(odd, precision).message()),
              HasSubstr("group_size 8 does not divide the 356 input features of down_proj"));
}

}  // namespace
}  // namespace bitsweep
