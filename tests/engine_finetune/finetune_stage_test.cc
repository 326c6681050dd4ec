#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/engine_io/test_folder.h"
#include "worker/engine/checkpoint/checkpoint.h"
#include "worker/engine/finetune/block_tuning.h"
#include "worker/engine/finetune/finetune_options.h"
#include "worker/engine/finetune/held_out_kl.h"
#include "worker/engine/finetune/resident_memory.h"
#include "worker/engine/finetune/stages.h"
#include "worker/engine/finetune/step_line.h"
#include "worker/engine/tokenizer/tokenizer.h"

namespace bitsweep::engine {
namespace {

using nlohmann::json;
using testing::HasSubstr;

FinetuneOptions Read(const json& method) {
  return ReadFinetuneMethod(StrictObject(method, "spec.json", "/method"));
}

TEST(FinetuneOptionsTest, WhatIsWrittenIsRead) {
  FinetuneOptions options;
  options.learning_rate = 0.25;
  options.batch = 7;
  options.train = {TrainedPart::kNorms, TrainedPart::kCodebooks};
  options.checkpointing = GradientCheckpointing::kOff;
  options.products = Products::kBf16;
  EXPECT_EQ(ToJson(Read(ToJson(options))), ToJson(options));
  options.objective = FinetuneObjective::kPvTeacherKl;
  options.learning_rate_end = 0.25;
  options.codes = {.learning_rate = 0.5, .alternatives = 9, .sharpness = 2.5, .settled = 0.75};
  EXPECT_EQ(ToJson(Read(ToJson(options))), ToJson(options));
  EXPECT_EQ(Read(ToJson(options)).codes.alternatives, 9);
  const FinetuneOptions defaults = Read({{"objective", "teacher-kl"}});
  EXPECT_EQ(ToJson(defaults), ToJson(FinetuneOptions()));
  EXPECT_EQ(defaults.train.size(), TrainedPartNames().size());
}

TEST(FinetuneOptionsTest, NamesWhatItRefuses) {
  const auto refusal = [](const char* key, const json& value) {
    json method = {{"objective", "teacher-kl"}};
    method[key] = value;
    return BadInputOf([&] { Read(method); });
  };
  EXPECT_THAT(refusal("objective", "pv"), HasSubstr("/method/objective"));
  EXPECT_THAT(refusal("code_alternatives", 4), HasSubstr("/method/code_alternatives: unknown"));
  EXPECT_THAT(refusal("learning_rate", 0.0), HasSubstr("/method/learning_rate"));
  EXPECT_THAT(refusal("epochs", 0), HasSubstr("/method/epochs"));
  EXPECT_THAT(refusal("train", json::array()), HasSubstr("at least one of codebooks"));
  EXPECT_THAT(refusal("train", {"codes"}), HasSubstr("found \"codes\", want codebooks"));
  EXPECT_THAT(refusal("gradient_checkpointing", "yes"), HasSubstr("auto, on, off"));
  EXPECT_THAT(refusal("products", "f16"), HasSubstr("f32, bf16"));
  EXPECT_THAT(refusal("learning_rat", 1), HasSubstr("/method/learning_rat: unknown"));
  EXPECT_THAT(BadInputOf([] { Read(json::object()); }), HasSubstr("/method/objective: missing"));
  const json products = {{"products", "f16"}};
  EXPECT_THAT(BadInputOf([&] { ReadBlockTuning(StrictObject(products, "spec.json", "/m")); }),
              testing::AllOf(HasSubstr("/m/products"), HasSubstr("f32, bf16")));
  const json tuning = {{"epoch", 3}};
  EXPECT_THAT(BadInputOf([&] { ReadBlockTuning(StrictObject(tuning, "spec.json", "/m")); }),
              HasSubstr("/m/epoch: unknown"));
}

TEST(StepLineTest, SaysWhereATrainingStands) {
  StepFigures figures = {
      .epoch = 2, .epochs = 5, .step = 13, .steps = 32, .loss = 0.02134, .tokens_left = 400'000};
  EXPECT_EQ(DescribeStep(figures), "epoch 2/5, step 13/32, KL 0.02134");
  figures.tokens = 20'000;
  figures.seconds = 10.0;
  EXPECT_EQ(DescribeStep(figures),
            "epoch 2/5, step 13/32, KL 0.02134, 2000 tokens/s, 3 min 20 s left");
  figures.tokens_left = 20'000'000;
  EXPECT_THAT(DescribeStep(figures), testing::EndsWith(", 2 h 46 min left"));
  figures.tokens_left = 0;
  EXPECT_THAT(DescribeStep(figures), testing::EndsWith(", 0 s left"));
}

class FinetuneStageTest : public testing::Test {
 protected:
  FinetuneStageTest() {
    std::filesystem::create_directories(folder_.File("out"));
    spec_.where = "spec.json";
    spec_.kind = "finetune";
    spec_.output_dir = folder_.File("out");
    spec_.seed = 3;
    spec_.members = {
        {"model", {{"dir", kAqlmReference}}},
        {"teacher", {{"dir", kModels + "sparrow-1m"}}},
        {"method",
         {{"objective", "teacher-kl"}, {"learning_rate", 3e-4}, {"epochs", 1}, {"early_stop", 3}}},
        {"calibration",
         {{"parts",
           {{{"file", "../deploy/demo/calibration/code.jsonl"},
             {"sequences", 10},
             {"window", "pack"},
             {"min_tokens", 0}}}},
          {"validation", 2},
          {"sequence_length", 64},
          {"seed", 7}}}};
  }
  json Run(int events_fd = -1, bool draws = false) {
    StageRegistry registry;
    RegisterFinetuneStages(registry);
    Events events(events_fd, draws);
    return registry.stages().at("finetune")(spec_, events);
  }

  TestFolder folder_;
  StageSpec spec_;
};

TEST_F(FinetuneStageTest, TunesTheReferencesCheckpointAndSaysWhatItIs) {
  std::FILE* file = std::fopen(folder_.File("events").c_str(), "w");
  const json summary = Run(fileno(file));
  std::fclose(file);
  EXPECT_LT(summary.at("kl_after").get<double>(), summary.at("kl_before").get<double>());
  EXPECT_EQ(summary.at("tokens"), 8 * 64);
  EXPECT_NEAR(summary.at("effective_bits").get<double>(), 4.39, 0.1);
  EXPECT_GT(summary.at("weights_bytes").get<std::int64_t>(), 1'000'000);
  EXPECT_TRUE(Checkpoint::Open(spec_.output_dir)->config().aqlm.has_value());
  std::ifstream lines(folder_.File("events"));
  int progress = 0;
  std::vector<std::string> metrics;
  for (std::string line; std::getline(lines, line);) {
    const json event = json::parse(line);
    progress += event.at("event") == "progress" && event.at("total") == 8 ? 1 : 0;
    if (event.at("event") == "metric") {
      metrics.push_back(event.at("name"));
    }
  }
  EXPECT_GE(progress, 8);
  EXPECT_THAT(metrics,
              testing::ElementsAre(
                  "finetune/kl_validation", "finetune/kl_validation", "finetune/kl_training"));
}

TEST_F(FinetuneStageTest, DrawsALineOnATerminalAndNothingElsewhere) {
  testing::internal::CaptureStderr();
  Run();
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  std::filesystem::create_directories(folder_.File("again"));
  spec_.output_dir = folder_.File("again");
  testing::internal::CaptureStderr();
  Run(-1, /*draws=*/true);
  const std::string drawn = testing::internal::GetCapturedStderr();
  EXPECT_THAT(drawn, HasSubstr("finetune  1/8 sequences  12%  epoch 1/1, step 1/8, KL "));
  EXPECT_THAT(drawn, HasSubstr(" tokens/s, "));
}

TEST_F(FinetuneStageTest, HeldOutKlIsWhatTheStageMeasures) {
  spec_.members["calibration"]["validation"] = 0;
  spec_.members["calibration"]["parts"][0]["sequences"] = 4;
  const json summary = Run();
  const CalibrationPart part = {.file = "../deploy/demo/calibration/code.jsonl",
                                .sequences = 4,
                                .window = WindowPolicy::kPack,
                                .min_tokens = 0};
  const CalibrationSet text =
      SampleCalibration({.parts = {part}, .validation = 0, .sequence_length = 64},
                        *Tokenizer::Load(kModels + "sparrow-1m"),
                        /*seed=*/7);
  const auto teacher = Checkpoint::Open(kModels + "sparrow-1m");
  const auto before = Checkpoint::Open(kAqlmReference);
  const double kl = HeldOutKl(*before, *teacher, text, at::kCPU, 2);
  EXPECT_NEAR(kl, summary.at("kl_before").get<double>(), 1e-9);
  EXPECT_EQ(HeldOutKl(*before, *teacher, text, at::kCPU, 1), kl);
  EXPECT_NEAR(HeldOutKl(*Checkpoint::Open(spec_.output_dir), *teacher, text, at::kCPU, 1),
              summary.at("kl_after").get<double>(),
              1e-9);
}

TEST_F(FinetuneStageTest, MemoryStaysWithinTheStatedBound) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "skipped: a sanitizer has memory of its own";
#endif
  spec_.threads = 2;
  spec_.members["method"]["batch"] = 2;
  spec_.members["calibration"]["sequence_length"] = 256;
  for (const char* objective : {"teacher-kl", "pv-teacher-kl"}) {
    for (const char* checkpointing : {"off", "on"}) {
      SCOPED_TRACE(std::string(objective) + ", gradient checkpointing " + checkpointing);
      spec_.members["method"]["objective"] = objective;
      spec_.members["method"]["gradient_checkpointing"] = checkpointing;
      spec_.output_dir = folder_.File(std::string(objective) + checkpointing);
      std::filesystem::create_directories(spec_.output_dir);
      const std::int64_t before = ForgetPeakMemory();
      if (before < 0) {
        GTEST_SKIP() << "skipped: /proc/self/clear_refs cannot be written here";
      }
      const json summary = Run();
      const std::int64_t taken = PeakMemory() - before;
      const auto bound = summary.at("memory_bound_bytes").get<std::int64_t>();
      RecordProperty(std::string(objective) + "-" + checkpointing,
                     std::to_string(taken) + " of " + std::to_string(bound));
      EXPECT_LE(taken, bound);
      EXPECT_GT(taken, bound / 8);  // A bound that says something.
    }
  }
}

TEST_F(FinetuneStageTest, RefusesWhatItDoesNotKnow) {
  spec_.members["methods"] = 1;
  EXPECT_THAT(BadInputOf([&] { Run(); }), HasSubstr("/methods: unknown"));
  spec_.members.erase("methods");
  spec_.members["teacher"]["path"] = "x";
  EXPECT_THAT(BadInputOf([&] { Run(); }), HasSubstr("/teacher/path: unknown"));
  spec_.members.erase("teacher");
  EXPECT_THAT(BadInputOf([&] { Run(); }), HasSubstr("/teacher: missing"));
}

}  // namespace
}  // namespace bitsweep::engine
