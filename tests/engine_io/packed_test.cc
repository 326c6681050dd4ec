// Packed codes and the conversion between the interchange form and ours: nothing is lost, and
// whatever does not fit is named.
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "tests/engine_io/test_folder.h"
#include "worker/engine/checkpoint/convert.h"
#include "worker/engine/checkpoint/manifest.h"
#include "worker/engine/checkpoint/packed_codes.h"
#include "worker/engine/checkpoint/writer.h"
#include "worker/engine/model/llama.h"

namespace bitsweep::engine {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

/// The definition, bit by bit.
std::vector<std::uint8_t> PackedByDefinition(const at::Tensor& codes, int bits) {
  const at::Tensor flat = codes.reshape({-1});
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>((flat.numel() * bits + 7) / 8), 0);
  const auto* code = flat.data_ptr<std::int32_t>();
  for (std::int64_t n = 0; n < flat.numel(); ++n) {
    for (int bit = 0; bit < bits; ++bit) {
      const auto place = static_cast<std::size_t>(n * bits + bit);
      const int value = (code[n] >> bit) & 1;
      bytes[place / 8] = static_cast<std::uint8_t>(bytes[place / 8] | (value << (place % 8)));
    }
  }
  return bytes;
}

std::vector<std::uint8_t> Bytes(const at::Tensor& packed) {
  const auto* data = packed.data_ptr<std::uint8_t>();
  return {data, data + packed.numel()};
}

TEST(PackedCodesTest, ThreeCodesOfThreeBitsAreTheseTwoBytes) {
  // 1 | 2 << 3 | 7 << 6 = 0x1d1
  const at::Tensor codes = at::tensor({1, 2, 7}, at::kInt);
  EXPECT_EQ(Bytes(PackCodes(codes, 3)), (std::vector<std::uint8_t>{0xd1, 0x01}));
}

TEST(PackedCodesTest, EveryWidthSurvivesAtEveryRemainder) {
  at::manual_seed(11);
  for (int bits = 1; bits <= 16; ++bits) {
    const std::int64_t size = std::int64_t{1} << bits;
    for (std::int64_t count = 0; count <= 17; ++count) {
      at::Tensor codes = at::randint(size, {count}, at::kInt);
      // The values around the wrap of the stored form, and the greatest.
      const std::int64_t edges[] = {size / 2 - 1, size / 2, size - 1, 0};
      for (std::int64_t i = 0; i < std::min<std::int64_t>(count, 4); ++i) {
        codes[i] = edges[i];
      }
      const at::Tensor packed = PackCodes(codes, bits);
      ASSERT_EQ(packed.numel(), PackedBytes(count, bits));
      ASSERT_EQ(Bytes(packed), PackedByDefinition(codes, bits)) << bits << " bits, " << count;
      ASSERT_TRUE(at::equal(UnpackCodes(packed, {count}, bits), codes)) << bits << ", " << count;
      const at::Tensor stored = CodesToStored(codes, bits);
      ASSERT_TRUE(at::equal(
          CodesToStored(UnpackCodes(PackCodes(CodesFromStored(stored, bits), bits), {count}, bits),
                        bits),
          stored));
    }
  }
}

TEST(PackedCodesTest, LongTensorsArePackedInPiecesThatFit) {
  at::manual_seed(12);
  for (const int bits : {1, 7, 12, 15}) {
    const at::Tensor codes = at::randint(std::int64_t{1} << bits, {101, 997, 3}, at::kInt);
    const at::Tensor packed = PackCodes(codes, bits);
    EXPECT_EQ(Bytes(packed), PackedByDefinition(codes, bits)) << bits;
    EXPECT_TRUE(at::equal(UnpackCodes(packed, codes.sizes(), bits), codes)) << bits;
  }
}

TEST(PackedCodesTest, WhatDoesNotFitIsRefused) {
  const at::Tensor packed = PackCodes(at::arange(10, at::kInt), 5);  // 50 bits: 7 bytes, 6 spare.
  for (const std::int64_t length : {0, 6, 8}) {
    EXPECT_THAT(BadInputOf([&] { UnpackCodes(at::zeros({length}, at::kByte), {10}, 5); }),
                AllOf(HasSubstr("found " + std::to_string(length)), HasSubstr("want [7] bytes")));
  }
  EXPECT_THAT(BadInputOf([&] { UnpackCodes(packed.to(at::kChar), {10}, 5); }), HasSubstr("Char"));
  for (int bit = 2; bit < 8; ++bit) {
    at::Tensor damaged = packed.clone();
    damaged[6] = damaged[6].item<int>() | (1 << bit);
    EXPECT_THAT(BadInputOf([&] { UnpackCodes(damaged, {10}, 5); }), HasSubstr("not zero")) << bit;
  }
  EXPECT_THAT(BadInputOf([] { PackCodes(at::tensor({32}, at::kInt), 5); }), HasSubstr("32"));
  EXPECT_THAT(BadInputOf([] { PackCodes(at::tensor({-1}, at::kInt), 5); }), HasSubstr("-1"));
  EXPECT_THAT(BadInputOf([] { PackCodes(at::tensor({0}, at::kInt), 17); }), HasSubstr("1 to 16"));
}

/// Codes and codebooks drawn at random, in the files that a quantization writes.
void WriteQuantized(const std::string& dir, const AqlmConfig& aqlm) {
  at::manual_seed(13);
  fs::create_directory(dir);
  const auto source = Checkpoint::Open(kModels + "sparrow-1m");
  CheckpointWriter writer(dir, source, aqlm, "a run");
  const std::int64_t size = std::int64_t{1} << aqlm.codebook_bits;
  for (std::int64_t layer = 0; layer < source->config().num_layers; ++layer) {
    std::map<std::string, QuantizedLinear> linears;
    for (const std::string& name : ModelConfig::LinearNames()) {
      const auto [rows, columns] = source->config().LinearShape(name);
      linears[name] = {
          at::randint(size, {rows, columns / aqlm.group_size, aqlm.codebooks}, at::kInt),
          at::randn({aqlm.codebooks, size, 1, aqlm.group_size}),
          at::rand({rows, 1, 1, 1})};
    }
    writer.WriteBlock(layer, linears, {at::ones({128}), at::ones({128})});
  }
  writer.Finish();
}

std::set<std::string> Names(const std::string& dir) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(dir)) {
    names.insert(entry.path().filename().string());
  }
  return names;
}

class ConvertTest : public ::testing::Test {
 protected:
  Conversion Convert(const std::string& in,
                     const std::string& out,
                     CodesForm form,
                     bool force = false) {
    return ConvertCheckpoint(in, out, form, force, events_);
  }
  std::string Refusal(const std::string& in,
                      const std::string& out,
                      CodesForm form,
                      bool force = false) {
    return BadInputOf([&] { Convert(in, out, form, force); });
  }

  TestFolder folder_;
  Events events_{-1};
  const std::string plain_ = folder_.File("plain");
  const std::string packed_ = folder_.File("packed");
  const std::string back_ = folder_.File("back");
};

TEST_F(ConvertTest, ThereAndBackEveryFileIsTheSame) {
  for (const AqlmConfig& aqlm : {AqlmConfig{3, 3, 8}, AqlmConfig{2, 12, 8}, AqlmConfig{1, 15, 8}}) {
    for (const std::string& dir : {plain_, packed_, back_}) {
      fs::remove_all(dir);
    }
    WriteQuantized(plain_, aqlm);
    const Conversion there = Convert(plain_, packed_, CodesForm::kPacked);
    EXPECT_EQ(there.after.stored_bytes, there.before.packed_bytes);
    EXPECT_EQ(there.after.packed_bytes, there.before.packed_bytes);
    EXPECT_EQ(there.after.unpacked_bytes, there.before.stored_bytes);
    EXPECT_LT(there.after.stored_bytes, there.before.stored_bytes);
    EXPECT_EQ(there.after.stored_effective_bits, there.before.packed_effective_bits);
    const Conversion back = Convert(packed_, back_, CodesForm::kUnpacked);
    EXPECT_EQ(back.after.stored_bytes, there.before.stored_bytes);
    EXPECT_EQ(Names(back_), Names(plain_));
    for (const std::string& name : Names(plain_)) {
      EXPECT_EQ(ReadText(back_ + "/" + name), ReadText(plain_ + "/" + name)) << name;
    }
    const auto a = Checkpoint::Open(plain_);
    const auto b = Checkpoint::Open(packed_);
    const std::string prefix = "model.layers.2.mlp.down_proj";
    EXPECT_TRUE(b->IsQuantized(prefix));
    EXPECT_TRUE(at::equal(a->GetQuantized(prefix).codes, b->GetQuantized(prefix).codes));
    EXPECT_TRUE(at::equal(a->LinearWeight(prefix), b->LinearWeight(prefix)));
  }
}

TEST_F(ConvertTest, SizesAreTheFormulas) {
  WriteQuantized(plain_, {1, 12, 8});
  const Conversion done = Convert(plain_, packed_, CodesForm::kPacked);
  // 802,816 weights in groups of 8 are 100,352 codes: 150,528 bytes at 12 bits, 200,704 as int16.
  // 28 codebooks of 4096 x 8 f16, 5,376 scales, 2 x 2048 x 128 f16 embeddings, 9 norms of 128.
  const std::int64_t others = 28 * 4096 * 8 * 2 + 5376 * 2 + 2 * 2048 * 128 * 2 + 9 * 128 * 2;
  EXPECT_EQ(done.after.stored_bytes, 150'528 + others);
  EXPECT_EQ(done.before.stored_bytes, 200'704 + others);
  EXPECT_DOUBLE_EQ(done.after.stored_effective_bits,
                   8.0 * (150'528 + 28 * 4096 * 8 * 2 + 5376 * 2) / 802'816);
}

TEST_F(ConvertTest, ThePackedReferenceGivesTheReferencesLogits) {
  Convert(kAqlmReference, packed_, CodesForm::kPacked);
  const auto golden = SafetensorsFile::Open(kAqlmReference + "/golden.safetensors");
  const at::Tensor ids = golden->Get("input_ids").to(at::kLong).unsqueeze(0);
  const auto logits = [&](const std::string& dir) {
    return LlamaModel::Load(*Checkpoint::Open(dir), at::kFloat, at::kCPU)->Logits(ids)[0];
  };
  const at::Tensor got = logits(packed_);
  EXPECT_TRUE(at::equal(got, logits(kAqlmReference)));
  EXPECT_LT((got - golden->Get("logits")).abs().max().item<double>(), 1e-3);
  Convert(packed_, back_, CodesForm::kUnpacked);
  EXPECT_EQ(
      Names(back_),
      (std::set<std::string>{"config.json", "model.safetensors", "reference_layer_losses.json"}));
  const auto original = Checkpoint::Open(kAqlmReference);
  const auto returned = Checkpoint::Open(back_);
  EXPECT_EQ(returned->config().raw, original->config().raw);
  ASSERT_EQ(returned->tensors().size(), original->tensors().size());
  for (const auto& [name, file] : original->tensors()) {
    EXPECT_TRUE(at::equal(returned->Get(name), original->Get(name))) << name;
    EXPECT_EQ(returned->Get(name).scalar_type(), original->Get(name).scalar_type()) << name;
  }
}

TEST_F(ConvertTest, OtherReadersFindNoFileOfTheirsInAPackedFolder) {
  WriteQuantized(plain_, {2, 9, 8});
  Convert(plain_, packed_, CodesForm::kPacked);
  for (const std::string& name : Names(packed_)) {
    EXPECT_FALSE(name.rfind("model", 0) == 0) << name;
  }
  const nlohmann::json manifest = MakeManifest(*Checkpoint::Open(packed_), events_);
  std::set<std::string> files;
  for (const nlohmann::json& file : manifest["files"]) {
    files.insert(file["name"].get<std::string>());
  }
  EXPECT_EQ(files.count("packed-model.safetensors.index.json"), 1U);
  EXPECT_EQ(files.count("packed-model-block-00003.safetensors"), 1U);
}

TEST_F(ConvertTest, WhatCannotBeConvertedIsRefusedAndNothingIsLeft) {
  WriteQuantized(plain_, {2, 9, 8});
  EXPECT_THAT(Refusal(kModels + "sparrow-1m", packed_, CodesForm::kPacked),
              HasSubstr("is not quantized"));
  EXPECT_THAT(Refusal(plain_, packed_, CodesForm::kUnpacked), HasSubstr("is not packed"));
  EXPECT_THAT(Refusal(folder_.File("absent"), packed_, CodesForm::kPacked),
              HasSubstr("there is no such folder"));
  EXPECT_THAT(Refusal(plain_, plain_, CodesForm::kPacked, true), HasSubstr("another output"));
  EXPECT_THAT(Refusal(plain_, plain_ + "/in/", CodesForm::kPacked), HasSubstr("lies in the other"));
  EXPECT_THAT(Refusal(plain_, folder_.path(), CodesForm::kPacked, true), HasSubstr("lies in"));
  EXPECT_THAT(Refusal(plain_, folder_.File("no/such"), CodesForm::kPacked),
              HasSubstr("is not there"));
  EXPECT_EQ(Names(folder_.path()), std::set<std::string>{"plain"});
  Convert(plain_, packed_, CodesForm::kPacked);
  EXPECT_THAT(Refusal(packed_, back_, CodesForm::kPacked), HasSubstr("is packed already"));
}

TEST_F(ConvertTest, OnlyForceReplacesAndOnlyCheckpoints) {
  WriteQuantized(plain_, {2, 9, 8});
  fs::create_directory(packed_);
  EXPECT_THAT(Refusal(plain_, packed_, CodesForm::kPacked), HasSubstr("--force"));
  folder_.Write("packed/thesis.txt", "two years");
  EXPECT_THAT(Refusal(plain_, packed_, CodesForm::kPacked, true), HasSubstr("no config.json"));
  EXPECT_EQ(ReadText(packed_ + "/thesis.txt"), "two years");
  EXPECT_THAT(Refusal(plain_, folder_.Write("file", ""), CodesForm::kPacked, true),
              HasSubstr("is not a folder"));
  folder_.Write("packed/config.json", "{}");
  Convert(plain_, packed_, CodesForm::kPacked, true);
  EXPECT_FALSE(fs::exists(packed_ + "/thesis.txt"));
  Checkpoint::Open(packed_);
  EXPECT_EQ(Names(folder_.path()), (std::set<std::string>{"plain", "packed", "file"}));
}

TEST_F(ConvertTest, CodesWithoutTheirWrapKeepTheirValues) {
  fs::create_directory(folder_.File("odd"));
  const auto reference = Checkpoint::Open(kAqlmReference);
  nlohmann::json config = reference->config().raw;
  config["quantization_config"]["nbits_per_codebook"] = 9;
  folder_.Write("odd/config.json", config.dump());
  NamedTensors tensors;
  for (const auto& [name, file] : reference->tensors()) {
    const bool codes = name.size() > 6 && name.compare(name.size() - 6, 6, ".codes") == 0;
    const bool books = name.find(".codebooks") != std::string::npos;
    const at::Tensor tensor = reference->Get(name);
    // 9 bits stored as 256 .. 511, where the form of others has -256 .. -1.
    tensors.emplace_back(name,
                         codes   ? tensor.to(at::kShort).bitwise_and(255) + 256
                         : books ? at::cat({tensor, tensor}, 1)
                                 : tensor);
  }
  WriteSafetensors(folder_.File("odd/model.safetensors"), tensors);
  Convert(folder_.File("odd"), packed_, CodesForm::kPacked);
  Convert(packed_, back_, CodesForm::kUnpacked);
  const std::string prefix = "model.layers.1.self_attn.k_proj";
  EXPECT_TRUE(at::equal(Checkpoint::Open(folder_.File("odd"))->GetQuantized(prefix).codes,
                        Checkpoint::Open(back_)->GetQuantized(prefix).codes));
}

/// Opens a packed folder with one tensor replaced in its first block.
class DamagedTest : public ConvertTest {
 protected:
  DamagedTest() {
    WriteQuantized(plain_, {1, 3, 8});
    Convert(plain_, packed_, CodesForm::kPacked);
  }
  void Replace(const std::string& name, const at::Tensor& tensor) {
    const std::string path = packed_ + "/packed-model-block-00000.safetensors";
    NamedTensors tensors;
    {
      const auto file = SafetensorsFile::Open(path);
      for (const auto& [other, entry] : file->entries()) {
        tensors.emplace_back(other, other == name ? tensor : file->Get(other).clone());
      }
    }
    WriteSafetensors(path, tensors);
  }
  void ReplacePacking(const nlohmann::json& packing) {
    nlohmann::json config = nlohmann::json::parse(ReadText(packed_ + "/config.json"));
    config["quantization_config"]["packing"] = packing;
    folder_.Write("packed/config.json", config.dump());
  }
  std::string OpenRefusal() {
    return BadInputOf([&] { Checkpoint::Open(packed_); });
  }
};

TEST_F(DamagedTest, StreamsOfAnotherLengthAreNamedAtOpen) {
  // 128 x 16 codes of 3 bits: 768 bytes.
  const std::string name = "model.layers.0.self_attn.q_proj.codes_packed";
  for (const std::int64_t length : {0, 767, 769, 4096}) {
    Replace(name, at::zeros({length}, at::kByte));
    EXPECT_THAT(OpenRefusal(),
                AllOf(HasSubstr("packed-model-block-00000.safetensors: tensor '" + name),
                      HasSubstr("[" + std::to_string(length) + "]"),
                      HasSubstr("[768]")));
  }
  Replace(name, at::zeros({768}, at::kChar));
  EXPECT_THAT(OpenRefusal(), AllOf(HasSubstr(name), HasSubstr("I8"), HasSubstr("want U8")));
  Replace(name, at::zeros({768}, at::kByte));
  Checkpoint::Open(packed_);
}

TEST_F(DamagedTest, ATruncatedFileIsNamed) {
  const std::string path = packed_ + "/packed-model-block-00000.safetensors";
  const std::string text = ReadText(path);
  folder_.Write("packed/packed-model-block-00000.safetensors", text.substr(0, text.size() - 1));
  EXPECT_THAT(OpenRefusal(), AllOf(HasSubstr(path), HasSubstr("truncated")));
}

TEST_F(DamagedTest, PackingsThatAreNotUnderstoodAreRefused) {
  const nlohmann::json good = {{"format", "bitstream"}, {"bit_order", "little"}, {"version", 1}};
  ReplacePacking(good);
  Checkpoint::Open(packed_);
  for (const auto& [key, value] : good.items()) {
    nlohmann::json other = good;
    other[key] = "other";
    ReplacePacking(other);
    EXPECT_THAT(OpenRefusal(), AllOf(HasSubstr("packing." + key), HasSubstr("\"other\"")));
    other.erase(key);
    ReplacePacking(other);
    EXPECT_THAT(OpenRefusal(), AllOf(HasSubstr("packing." + key), HasSubstr("missing")));
  }
  nlohmann::json more = good;
  more["interleave"] = 4;
  ReplacePacking(more);
  EXPECT_THAT(OpenRefusal(), HasSubstr("packing.interleave: not understood"));
  ReplacePacking(true);
  EXPECT_THAT(OpenRefusal(), HasSubstr("want an object"));
  ReplacePacking(nullptr);
  EXPECT_THAT(
      OpenRefusal(),
      AllOf(HasSubstr("packed-model.safetensors.index.json"), HasSubstr("copy config.json again")));
  ReplacePacking(good);
  fs::remove(packed_ + "/packed-model.safetensors.index.json");
  EXPECT_THAT(OpenRefusal(), HasSubstr("index.json is missing"));
}

}  // namespace
}  // namespace bitsweep::engine
