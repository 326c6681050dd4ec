#include "worker/engine/quantize/model_quantizer.h"

#include <filesystem>
#include <fstream>
#include <map>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "tests/engine_model/tiny_model.h"
#include "worker/engine/checkpoint/atomic_file.h"
#include "worker/engine/error.h"

namespace bitsweep::engine {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

TinyShape Shape() {
  return {.hidden = 24, .intermediate = 40, .layers = 3, .heads = 6, .kv_heads = 2, .head_dim = 4};
}

class ModelQuantizerTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = testing::TempDir() + "quantize-" + std::to_string(getpid()) + "-" +
            testing::UnitTest::GetInstance()->current_test_info()->name();
    options_.linear.codebooks = 2;
    options_.linear.codebook_bits = 3;
    options_.seed = 5;
    options_.threads = 2;
    for (std::uint64_t i = 0; i < 12; ++i) {
      (i < 10 ? calibration_.train : calibration_.validation).push_back(RandomIds(20, 53, i));
    }
    calibration_.sequence_length = 20;
    calibration_.digest = CalibrationDigest(calibration_);
  }
  void TearDown() override { fs::remove_all(root_); }

  std::string Folder(const std::string& name) const {
    fs::create_directories(root_ + "/" + name);
    return root_ + "/" + name;
  }
  nlohmann::json Quantize(const std::string& folder) {
    Events events(-1);
    return QuantizeModel(model_.Open(), calibration_, options_, folder, events);
  }
  // Every weights file's bytes by name.
  static std::map<std::string, std::string> Weights(const std::string& folder) {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (entry.path().extension() == ".safetensors") {
        files[entry.path().filename()] = ReadWholeFile(entry.path());
      }
    }
    return files;
  }
  static nlohmann::json Report(const std::string& folder) {
    return nlohmann::json::parse(std::ifstream(folder + "/report.json"));
  }

  std::string root_;
  TinyModel model_{Shape()};
  CalibrationSet calibration_;
  ModelQuantizeOptions options_;
};

TEST_F(ModelQuantizerTest, WritesACheckpointThatOpensAndAReportOfEveryLinear) {
  const std::string folder = Folder("whole");
  const nlohmann::json totals = Quantize(folder);
  const auto checkpoint = Checkpoint::Open(folder);
  ASSERT_TRUE(checkpoint->config().aqlm.has_value());
  EXPECT_EQ(checkpoint->config().aqlm->codebook_bits, 3);
  EXPECT_TRUE(checkpoint->IsQuantized("model.layers.2.mlp.down_proj"));
  const nlohmann::json report = Report(folder);
  ASSERT_EQ(report.at("linears").size(), 21U);
  EXPECT_EQ(report.at("linears")[20].at("name"), "model.layers.2.mlp.down_proj");
  for (const nlohmann::json& linear : report.at("linears")) {
    EXPECT_GT(linear.at("relative_loss").get<double>(), 0.0);
    EXPECT_LT(linear.at("relative_loss").get<double>(), 1.0);
  }
  EXPECT_EQ(report.at("calibration_digest"), calibration_.digest);
  EXPECT_EQ(totals.at("tokens"), 200);
  EXPECT_GT(report.at("peak_memory_bytes").get<std::int64_t>(), 1 << 20);
  EXPECT_FALSE(fs::exists(folder + "/quantize-journal.json"));
}

TEST_F(ModelQuantizerTest, ResumedEqualsUninterrupted) {
  const std::string whole = Folder("whole");
  Quantize(whole);
  const auto want = Weights(whole);
  ASSERT_EQ(want.size(), 4U);
  // As an interruption after the first block leaves it: that block, its journal, no index.
  const std::string cut = Folder("cut");
  fs::copy(whole, cut, fs::copy_options::recursive);
  fs::remove(cut + "/model-block-00001.safetensors");
  fs::remove(cut + "/model-block-00002.safetensors");
  fs::remove(cut + "/model.safetensors.index.json");
  nlohmann::json journal = Report(cut);
  auto& linears = journal.at("linears");
  linears.erase(linears.begin() + 7, linears.end());
  fs::remove(cut + "/report.json");
  std::ofstream(cut + "/quantize-journal.json") << journal;
  EXPECT_EQ(Quantize(cut).at("resumed_blocks"), 1);
  EXPECT_EQ(Weights(cut), want);
  EXPECT_EQ(Report(cut).at("linears").size(), 21U);
  // A finished folder whose middle block is lost: the last is made again too, on the same inputs.
  fs::remove(cut + "/model-block-00001.safetensors");
  EXPECT_EQ(Quantize(cut).at("resumed_blocks"), 1);
  EXPECT_EQ(Weights(cut), want);
  EXPECT_EQ(Quantize(cut).at("resumed_blocks"), 3);
}

TEST_F(ModelQuantizerTest, ThreadsDoNotChangeTheFiles) {
  const std::string two = Folder("two");
  Quantize(two);
  options_.threads = 1;
  const std::string one = Folder("one");
  Quantize(one);
  EXPECT_EQ(Weights(one), Weights(two));
}

// More chunks than devices: a chunk is 45 sequences of 90 tokens.
TEST_F(ModelQuantizerTest, DevicesDoNotChangeTheFilesAndAResumedRunMayHaveOthers) {
  calibration_ = {};
  calibration_.sequence_length = 90;
  for (std::uint64_t i = 0; i < 240; ++i) {
    (i < 190 ? calibration_.train : calibration_.validation).push_back(RandomIds(90, 53, i));
  }
  calibration_.digest = CalibrationDigest(calibration_);
  options_.linear.epochs_max = 3;
  const std::string one = Folder("one");
  EXPECT_EQ(Quantize(one).at("devices"), 1);
  const auto want = Weights(one);
  for (const std::size_t devices : {2U, 3U}) {
    options_.devices.assign(devices, at::kCPU);
    const std::string several = Folder("devices-" + std::to_string(devices));
    EXPECT_EQ(Quantize(several).at("devices"), devices);
    EXPECT_EQ(Weights(several), want) << devices;
  }
  fs::remove(one + "/model-block-00001.safetensors");
  EXPECT_EQ(Quantize(one).at("resumed_blocks"), 1);
  EXPECT_EQ(Weights(one), want);
}

TEST_F(ModelQuantizerTest, BlocksAreTunedOnTheFirstOfSeveralDevices) {
  options_.block_tuning = BlockTuneOptions{.learning_rate = 1e-3, .epochs = 2, .batch = 4};
  const std::string one = Folder("one");
  Quantize(one);
  const auto want = Weights(one);
  options_.devices.assign(2, at::kCPU);
  const std::string two = Folder("two");
  Quantize(two);
  EXPECT_EQ(Weights(two), want);
}

TEST_F(ModelQuantizerTest, AnotherIdentityIsNotResumed) {
  const std::string folder = Folder("folder");
  Quantize(folder);
  const auto before = Weights(folder);
  options_.seed = 6;
  EXPECT_EQ(Quantize(folder).at("resumed_blocks"), 0);
  EXPECT_NE(Weights(folder), before);
}

TEST_F(ModelQuantizerTest, BlocksSeeTheQuantizedPrefixAndFullPrecisionTargets) {
  std::vector<at::Tensor> inputs;
  std::vector<std::int64_t> layers;
  options_.refinement = [&](const BlockRefinementInput& block) -> nlohmann::json {
    layers.push_back(block.layer);
    inputs.push_back(block.train_inputs.clone());
    EXPECT_EQ(block.linears->size(), 7U);
    EXPECT_EQ(block.validation_inputs.size(0), 2);
    const at::Tensor again =
        BlockForward(*block.config, *block.weights, *block.rope, block.train_inputs);
    EXPECT_TRUE(at::allclose(again, block.train_targets, 1e-4, 1e-5));
    EXPECT_EQ(block.validation_targets.sizes(), block.validation_inputs.sizes());
    // What a refinement changes is what is published.
    block.linears->at("mlp.up_proj").scales.fill_(0.5);
    return nlohmann::json{{"note", "half"}};
  };
  const std::string folder = Folder("folder");
  Quantize(folder);
  EXPECT_THAT(layers, testing::ElementsAre(0, 1, 2));
  EXPECT_EQ(Report(folder).at("refinements").at(2),
            (nlohmann::json{{"layer", 2}, {"note", "half"}}));
  const auto checkpoint = Checkpoint::Open(folder);
  EXPECT_EQ(checkpoint->GetQuantized("model.layers.1.mlp.up_proj").scales.min().item<float>(),
            0.5F);
  // The next block's inputs are this one's outputs as whoever loads the checkpoint computes them.
  const BlockWeights stored = LoadBlock(*checkpoint, 0, at::kFloat, at::kCPU);
  const RopeTable rope = MakeRopeTable(checkpoint->config(), 20, at::kCPU);
  const at::Tensor want = BlockForward(checkpoint->config(), stored, rope, inputs[0]);
  EXPECT_TRUE(at::allclose(inputs[1], want, 1e-4, 1e-5));
}

TEST_F(ModelQuantizerTest, Bf16ProductsTuneABlockAsWell) {
  options_.block_tuning = BlockTuneOptions{.learning_rate = 3e-3, .epochs = 8, .batch = 2};
  std::map<Products, double> best;
  for (const Products products : {Products::kF32, Products::kBf16}) {
    options_.block_tuning->products = products;
    const std::string folder = Folder(NameOf(products));
    Quantize(folder);
    const nlohmann::json block = Report(folder).at("refinements")[0];
    best[products] = block.at("best").get<double>();
    EXPECT_LT(best[products], 0.98 * block.at("untrained").get<double>());
  }
  EXPECT_NE(best[Products::kBf16], best[Products::kF32]);
  EXPECT_NEAR(best[Products::kBf16], best[Products::kF32], 0.02 * best[Products::kF32]);
}

TEST_F(ModelQuantizerTest, BlockTuningBringsTheBlocksOutputsNearer) {
  const std::string plain = Folder("plain");
  Quantize(plain);
  options_.block_tuning = BlockTuneOptions{.learning_rate = 3e-3, .epochs = 8, .batch = 2};
  const std::string tuned = Folder("tuned");
  const std::string log = root_ + "/events";
  std::FILE* file = std::fopen(log.c_str(), "w");
  Events events(fileno(file));
  QuantizeModel(model_.Open(), calibration_, options_, tuned, events);
  std::fclose(file);
  const nlohmann::json report = Report(tuned);
  ASSERT_EQ(report.at("refinements").size(), 3U);
  for (const nlohmann::json& block : report.at("refinements")) {
    EXPECT_LT(block.at("best").get<double>(), 0.98 * block.at("untrained").get<double>());
    EXPECT_FALSE(block.at("curve").empty());
  }
  EXPECT_FALSE(Report(plain).contains("refinements"));
  // The first block's codes are the search's; what moved is the rest of it.
  const auto before = Checkpoint::Open(plain);
  const auto after = Checkpoint::Open(tuned);
  const std::string linear = "model.layers.0.mlp.up_proj";
  EXPECT_TRUE(at::equal(before->GetQuantized(linear).codes, after->GetQuantized(linear).codes));
  for (const std::string& name : {linear + ".codebooks",
                                  linear + ".scales",
                                  std::string("model.layers.0.input_layernorm.weight")}) {
    EXPECT_FALSE(at::equal(before->Get(name), after->Get(name))) << name;
  }
  // The figure is the stored block's own, up to the rounding to f16.
  const auto ids = [&](const std::vector<std::int64_t>& sequence) {
    return at::embedding(before->Get("model.embed_tokens.weight").to(at::kFloat),
                         at::tensor(sequence, at::kLong).unsqueeze(0));
  };
  const RopeTable rope = MakeRopeTable(after->config(), 20, at::kCPU);
  const BlockWeights full = LoadBlock(*model_.Open(), 0, at::kFloat, at::kCPU);
  const BlockWeights stored = LoadBlock(*after, 0, at::kFloat, at::kCPU);
  double sum = 0.0;
  for (const auto& sequence : calibration_.validation) {
    sum += (BlockForward(after->config(), stored, rope, ids(sequence)) -
            BlockForward(after->config(), full, rope, ids(sequence)))
               .square()
               .mean()
               .item<double>();
  }
  const double best = report.at("refinements")[0].at("best").get<double>();
  EXPECT_NEAR(sum / 2.0, best, 0.02 * best);
  // The curve, one point an epoch and the untrained one, as events.
  int points = 0;
  std::ifstream lines(log);
  for (std::string line; std::getline(lines, line);) {
    points += line.find("\"block_tuning/model.layers.1/validation\"") != std::string::npos ? 1 : 0;
  }
  EXPECT_EQ(points, static_cast<int>(report.at("refinements")[1].at("curve").size()) + 1);
}

TEST_F(ModelQuantizerTest, ResumedBlockTuningEqualsUninterrupted) {
  options_.block_tuning = BlockTuneOptions{.learning_rate = 1e-3, .epochs = 3, .batch = 4};
  const std::string whole = Folder("whole");
  Quantize(whole);
  const auto want = Weights(whole);
  fs::remove(whole + "/model-block-00001.safetensors");
  options_.threads = 1;
  EXPECT_EQ(Quantize(whole).at("resumed_blocks"), 1);
  EXPECT_EQ(Weights(whole), want);
  EXPECT_EQ(Report(whole).at("refinements").size(), 3U);
  options_.block_tuning->learning_rate = 2e-3;
  EXPECT_EQ(Quantize(whole).at("resumed_blocks"), 0) << "another identity";
}

TEST_F(ModelQuantizerTest, ABlockThatDivergesIsNamed) {
  options_.block_tuning = BlockTuneOptions{.learning_rate = 1.0, .epochs = 3};
  try {
    Quantize(Folder("diverged"));
    FAIL();
  } catch (const EngineError& error) {
    EXPECT_EQ(error.failure(), FailureClass::kDiverged);
    EXPECT_THAT(error.what(), HasSubstr("fine-tuning of model.layers.0: the loss"));
    EXPECT_THAT(error.what(), HasSubstr("learning rate 1"));
  }
}

TEST_F(ModelQuantizerTest, WrongInputsAreRefusedBeforeAnythingIsWritten) {
  const std::string folder = Folder("folder");
  const auto refusal = [&]() -> std::string {
    try {
      Quantize(folder);
    } catch (const EngineError& error) {
      EXPECT_EQ(error.failure(), FailureClass::kBadInput);
      return error.what();
    }
    return "accepted";
  };
  calibration_.train[3][7] = 53;
  EXPECT_THAT(refusal(), HasSubstr("token id 53"));
  calibration_.train[3][7] = 5;
  calibration_.sequence_length = 97;
  EXPECT_THAT(refusal(), HasSubstr("96 positions"));
  calibration_.sequence_length = 20;
  options_.linear.group_size = 16;
  EXPECT_THAT(refusal(), HasSubstr("self_attn.q_proj has 24 input features"));
  EXPECT_TRUE(fs::is_empty(folder));
}

TEST_F(ModelQuantizerTest, AQuantizedModelIsNotQuantizedAgain) {
  const std::string folder = Folder("once");
  Quantize(folder);
  Events events(-1);
  try {
    QuantizeModel(Checkpoint::Open(folder), calibration_, options_, Folder("twice"), events);
    FAIL();
  } catch (const EngineError& error) {
    EXPECT_THAT(error.what(), HasSubstr("is quantized already"));
  }
}

}  // namespace
}  // namespace bitsweep::engine
