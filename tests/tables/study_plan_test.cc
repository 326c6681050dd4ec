// The whole study's sweep file as it is shipped, planned without any of the files that it names.
#include <cmath>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/study/plan.h"

namespace bitsweep {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

SweepSpec Study(const std::map<std::string, std::string>& settings = {}) {
  std::ifstream file("../deploy/studies/arxiv-2503.07103.yaml", std::ios::binary);
  EXPECT_TRUE(file);
  std::ostringstream text;
  text << file.rdbuf();
  absl::StatusOr<SweepSpec> spec = ParseSweep(text.str(), "arxiv-2503.07103.yaml", settings);
  EXPECT_TRUE(spec.ok()) << spec.status();
  return spec.ok() ? *spec : SweepSpec();
}

TEST(StudyPlanTest, CountsAreThePublishedGrid) {
  const nlohmann::json plan = PlanJson(Study(), {}, {}, std::nullopt);
  EXPECT_EQ(plan["variants"], 44);
  EXPECT_EQ(plan["baselines"], 6);
  EXPECT_EQ(plan["cells"], 176);
  EXPECT_EQ(plan["completions"], 364'320);
  EXPECT_EQ(
      plan["stages"],
      (nlohmann::json{{"quantize", 28}, {"finetune", 10}, {"generate", 176}, {"grade", 176}}));
  EXPECT_EQ(plan["inspect"], 6);
  EXPECT_EQ(plan["notes"], nlohmann::json::array()) << "nothing is unknown";
  ASSERT_EQ(plan["checkpoints"].size(), 38U);
  for (const nlohmann::json& checkpoint : plan["checkpoints"]) {
    EXPECT_TRUE(checkpoint["predicted_bytes"].is_number_integer());
    EXPECT_TRUE(checkpoint["packed_bytes"].is_number_integer());
  }
}

// Units of 10^9 bytes: published, then bit-packed where the study's text gives it.
struct Expected {
  const char* model;
  const char* precision;
  double stored, packed;
};
constexpr Expected kExpected[] = {
    {"CodeLlama-7b-hf", "8-bit", 7.47, 7.07},
    {"CodeLlama-7b-hf", "4-bit", 4.00, 3.80},
    {"CodeLlama-7b-hf", "3-bit", 3.80, 2.99},
    {"CodeLlama-7b-hf", "2-bit", 2.26, 2.16},
    {"deepseek-coder-6.7b-base", "8-bit", 7.48, 0},
    {"deepseek-coder-6.7b-base", "4-bit", 4.00, 0},
    {"deepseek-coder-6.7b-base", "3-bit", 3.80, 0},
    {"deepseek-coder-6.7b-base", "2-bit", 2.27, 0},
    {"CodeLlama-13b-hf", "2-bit", 3.98, 0},
    {"CodeLlama-34b-hf", "2-bit", 9.54, 0},
    {"deepseek-coder-33b-base", "2-bit", 9.38, 0},
};

TEST(StudyPlanTest, SizesAreThePublishedOnes) {
  const std::vector<CheckpointPrediction> checkpoints = PredictCheckpoints(Study(), {});
  for (const Expected& expected : kExpected) {
    int seen = 0;
    for (const CheckpointPrediction& checkpoint : checkpoints) {
      if (checkpoint.model != expected.model || checkpoint.precision != expected.precision) {
        continue;
      }
      ++seen;
      const double stored = static_cast<double>(checkpoint.size.stored_bytes) / 1e9;
      const double packed = static_cast<double>(checkpoint.size.packed_bytes) / 1e9;
      EXPECT_EQ(std::round(stored * 100), std::round(expected.stored * 100)) << checkpoint.variant;
      if (expected.packed > 0) {
        EXPECT_EQ(std::round(packed * 100), std::round(expected.packed * 100))
            << checkpoint.variant;
      }
    }
    EXPECT_GT(seen, 0) << expected.model << " " << expected.precision;
  }
}

TEST(StudyPlanTest, EffectiveBitsAreGivenBothWays) {
  for (const CheckpointPrediction& checkpoint : PredictCheckpoints(Study(), {})) {
    if (checkpoint.model == "CodeLlama-7b-hf" && checkpoint.precision == "3-bit") {
      EXPECT_NEAR(checkpoint.size.packed_effective_bits, 3.040, 5e-4);
      EXPECT_NEAR(checkpoint.size.stored_effective_bits, 4.040, 5e-4);
    }
    if (checkpoint.model == "deepseek-coder-1.3b-base") {
      EXPECT_NEAR(checkpoint.size.packed_effective_bits, 2.46, 5e-3);
      EXPECT_NEAR(checkpoint.size.stored_effective_bits, 2.59, 5e-3);
    }
  }
  const std::string text = PlanText(Study(), {}, {}, std::nullopt);
  EXPECT_THAT(text, HasSubstr("completions  364,320\n"));
  EXPECT_THAT(text, HasSubstr("6 inspect, 28 quantize, 10 finetune, 176 generate, 176 grade"));
  EXPECT_THAT(text, HasSubstr("3.80 GB        4.040     2.99 GB        3.040\n"));
  EXPECT_THAT(text, HasSubstr("GB = 10^9 bytes"));
}

TEST(StudyPlanTest, VariablesMoveEveryPath) {
  const SweepSpec spec = Study({{"models_dir", "hub"},
                                {"benchmarks_dir", "/data/benchmarks"},
                                {"calibration_dir", "/data/texts"}});
  EXPECT_EQ(Study().models[0].path, "CodeLlama-7b-hf") << "'./' is how variables make it";
  for (const ModelSpec& model : spec.models) {
    EXPECT_EQ(model.path, "hub/" + model.id);
  }
  for (const ReferencedFile& file : ReferencedFiles(spec)) {
    EXPECT_TRUE(file.path.starts_with("/data/")) << file.path;
  }
}

TEST(StudyPlanTest, PoliciesAreTheStudys) {
  const SweepSpec spec = Study();
  for (const CalibrationSpec& calibration : spec.calibrations) {
    std::int64_t sequences = 0;
    for (const CalibrationPart& part : calibration.parts) {
      sequences += part.sequences;
      EXPECT_EQ(part.window, calibration.name == "random" ? "random" : "first");
    }
    EXPECT_EQ(sequences, 1024) << calibration.name;
    EXPECT_EQ(calibration.validation, 128) << calibration.name;
    EXPECT_EQ(calibration.sequence_length, 4096) << calibration.name;
  }
  for (const BenchmarkSpec& benchmark : spec.benchmarks) {
    EXPECT_EQ(benchmark.sampling.samples, 20);
    EXPECT_EQ(benchmark.sampling.temperature, 0.2);
    EXPECT_EQ(benchmark.sampling.top_p, 0.95);
    EXPECT_EQ(benchmark.sampling.max_tokens_total, benchmark.name == "mceval" ? 1500 : 1024);
    EXPECT_EQ(benchmark.post_processing, "study");
  }
  std::vector<std::string> questions;
  for (const QuestionSpec& question : spec.questions) {
    questions.push_back(question.name);
  }
  EXPECT_THAT(questions, ElementsAre("rq1", "rq1-finetune", "rq2", "rq3"));
}

}  // namespace
}  // namespace bitsweep
