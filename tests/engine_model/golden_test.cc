// Logits and greedy continuations of the demo models against those of transformers (tests/golden).
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "worker/engine/checkpoint/safetensors.h"
#include "worker/engine/model/decoder.h"
#include "worker/engine/model/llama.h"

namespace bitsweep::engine {
namespace {

std::vector<std::int64_t> Ids(const at::Tensor& tensor) {
  const at::Tensor wide = tensor.to(at::kLong).contiguous();
  return {wide.data_ptr<std::int64_t>(), wide.data_ptr<std::int64_t>() + wide.numel()};
}

void ExpectGoldenLogits(const std::string& model_dir, const std::string& golden_path) {
  const auto golden = SafetensorsFile::Open(golden_path);
  const auto model = LlamaModel::Load(*Checkpoint::Open(model_dir), at::kFloat, at::kCPU);
  const at::Tensor logits = model->Logits(golden->Get("input_ids").to(at::kLong).unsqueeze(0))[0];
  const double difference = (logits - golden->Get("logits")).abs().max().item<double>();
  EXPECT_LT(difference, 1e-3) << golden_path;
  ::testing::Test::RecordProperty("greatest_difference", std::to_string(difference));
}

// Decodes greedily from the golden's input with `model` and compares every token.
void ExpectGoldenGreedy(const DecoderModel& model, const std::string& golden_path) {
  const auto golden = SafetensorsFile::Open(golden_path);
  const std::vector<std::int64_t> wanted = Ids(golden->Get("greedy"));
  std::vector<std::int64_t> ids = Ids(golden->Get("input_ids"));
  ASSERT_LT(ids.size(), wanted.size());
  const auto decoder =
      model.MakeDecoder({.slots = 1, .positions = static_cast<std::int64_t>(wanted.size())});
  at::Tensor logits = decoder->Prefill(ids);
  decoder->Place(0);
  while (true) {
    ids.push_back(logits[0].argmax().item<std::int64_t>());
    if (ids.size() == wanted.size()) {
      break;
    }
    logits = decoder->Step({ids.back()}, {static_cast<std::int64_t>(ids.size()) - 1});
  }
  EXPECT_EQ(ids, wanted) << golden_path;
}

class GoldenTest : public ::testing::TestWithParam<std::string> {};

TEST_P(GoldenTest, LogitsAndGreedyTokensEqualTransformers) {
  const std::string model_dir = "../deploy/demo/models/" + GetParam();
  const auto checkpoint = Checkpoint::Open(model_dir);
  const auto cpu = MakeCpuDecoderModel(*checkpoint);
  const auto torch = MakeTorchDecoderModel(*checkpoint, at::kFloat, at::kCPU);
  for (const char* number : {"0", "1", "2"}) {
    const std::string golden = "golden/logits/golden_" + GetParam() + "_" + number + ".safetensors";
    ExpectGoldenLogits(model_dir, golden);
    ExpectGoldenGreedy(*cpu, golden);
    ExpectGoldenGreedy(*torch, golden);
  }
}

INSTANTIATE_TEST_SUITE_P(DemoModels,
                         GoldenTest,
                         ::testing::Values("sparrow-1m", "finch-4m"),
                         [](const auto& suite) {
                           std::string name = suite.param;
                           name.erase(name.find('-'), 1);
                           return name;
                         });

TEST(GoldenAqlmTest, ReferenceQuantizersCheckpointGivesItsLogits) {
  const std::string dir = "golden/aqlm-reference/sparrow-1m-AQLM-2bit-code-2x8";
  ExpectGoldenLogits(dir, dir + "/golden.safetensors");
}

}  // namespace
}  // namespace bitsweep::engine
