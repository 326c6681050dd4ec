#include <filesystem>
#include <fstream>
#include <sstream>
#include <unistd.h>

#include <gtest/gtest.h>

#include <ATen/Parallel.h>

#include "tests/engine_model/tiny_model.h"
#include "worker/engine/error.h"
#include "worker/engine/generate/stages.h"

namespace bitsweep::engine {
namespace {

using nlohmann::json;

class GenerateStageTest : public ::testing::Test {
 protected:
  GenerateStageTest() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "generate-stage-XXXXXX").string();
    dir_ = mkdtemp(pattern.data());
    // The first three Python problems of the demo.
    std::ifstream all("../deploy/demo/benchmark/python.jsonl");
    std::string line;
    std::ofstream few(dir_ + "/few.jsonl");
    for (int i = 0; i < 3 && std::getline(all, line); ++i) {
      names_.push_back(json::parse(line)["name"]);
      few << line << "\n";
    }
    spec_.where = "spec.json";
    spec_.kind = "generate";
    spec_.output_dir = dir_;
    spec_.seed = 5;
    spec_.threads = 1;
    spec_.members = {
        {"model", {{"dir", "../deploy/demo/models/sparrow-1m"}}},
        {"benchmark", {{"file", dir_ + "/few.jsonl"}, {"language", "python"}}},
        {"sampling",
         {{"samples", 2}, {"temperature", 0.0}, {"top_p", 0.95}, {"max_tokens_total", 512}}}};
  }
  ~GenerateStageTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(dir_, ignored);
  }

  json Run() {
    StageRegistry registry;
    RegisterGenerateStages(registry);
    Events events(-1);
    return registry.stages().at("generate")(spec_, events);
  }
  std::string Completions() const {
    std::ifstream file(dir_ + "/completions.jsonl");
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }
  // The message of the bad_input that Run() throws.
  std::string Refusal() {
    try {
      Run();
    } catch (const EngineError& error) {
      EXPECT_EQ(error.failure(), FailureClass::kBadInput);
      return error.what();
    }
    return "";
  }

  std::string dir_;
  std::vector<std::string> names_;
  StageSpec spec_;
};

TEST_F(GenerateStageTest, WritesCompletionsInOrderAndASummary) {
  const json summary = Run();
  std::istringstream lines(Completions());
  std::string line;
  std::int64_t tokens = 0;
  for (int i = 0; i < 6; ++i) {
    ASSERT_TRUE(std::getline(lines, line));
    const json completion = json::parse(line);
    EXPECT_EQ(completion.size(), 4U);
    EXPECT_EQ(completion["name"], names_[static_cast<std::size_t>(i / 2)]);
    EXPECT_EQ(completion["sample"], i % 2);
    // The prompt was stripped of its last line end, so the body begins with one.
    EXPECT_TRUE(completion["completion"].get<std::string>().starts_with("\n    ")) << completion;
    tokens += i % 2 == 0 ? completion["tokens"].get<std::int64_t>() : 0;
  }
  EXPECT_FALSE(std::getline(lines, line));
  EXPECT_EQ(summary["tokens"], tokens);
  EXPECT_GT(summary["prompt_tokens"], 100);
  EXPECT_EQ(summary["truncated_prompts"], 0);
  EXPECT_GT(summary["peak_memory_bytes"], 1 << 20);
  std::int64_t finished = 0;
  for (const auto& [reason, count] : summary["finished_by"].items()) {
    finished += count.get<std::int64_t>();
  }
  EXPECT_EQ(finished, 6);
}

TEST_F(GenerateStageTest, SampledCompletionsDoNotDependOnBatchOrThreads) {
  spec_.members["sampling"]["temperature"] = 0.9;
  spec_.members["sampling"]["samples"] = 6;
  spec_.members["sampling"]["max_tokens_total"] = 320;
  std::string first;
  for (const auto& [slots, threads] :
       std::vector<std::pair<int, int>>{{1, 1}, {64, 1}, {64, 2}, {5, 2}}) {
    spec_.members["batch"] = {{"slots", slots}};
    spec_.threads = threads;
    Run();
    first = first.empty() ? Completions() : first;
    EXPECT_EQ(Completions(), first) << slots << " slots, " << threads << " threads";
  }
  EXPECT_FALSE(first.empty());
}

TEST_F(GenerateStageTest, PromptsBeyondTheLimitAreCutAndCounted) {
  spec_.members["sampling"]["max_tokens_total"] = 20;
  const json summary = Run();
  EXPECT_EQ(summary["truncated_prompts"], 3);
  EXPECT_EQ(summary["prompt_tokens"], 3 * 19);
  EXPECT_EQ(summary["tokens"], 3);
}

TEST_F(GenerateStageTest, Bf16RunsThroughTorch) {
  spec_.numerics.dtype = "bf16";
  spec_.members["sampling"]["max_tokens_total"] = 240;
  EXPECT_GT(Run()["tokens"], 0);
}

TEST_F(GenerateStageTest, TheFormOfWeightsIsInTheSummary) {
  spec_.members["sampling"]["max_tokens_total"] = 20;
  spec_.members["batch"] = {{"weights", "auto"}};
  const json summary = Run();
  EXPECT_EQ(summary["weights"], "expanded");
  EXPECT_FALSE(summary["weights_reason"].get<std::string>().empty());
  spec_.members["batch"]["weights"] = "codes";
  EXPECT_NE(Refusal().find("weights codes"), std::string::npos);
}

TEST_F(GenerateStageTest, ALimitOfGpuMemoryWantsAGpu) {
  spec_.members["batch"] = {{"gpu_memory_mib", 100}};
  EXPECT_NE(Refusal().find("/batch/gpu_memory_mib: found 100 with device cpu"), std::string::npos);
}

TEST_F(GenerateStageTest, MistakesAreBadInputAndNameThePlace) {
  const json good = spec_.members;
  spec_.members["batch"] = {{"weights", "packed"}};
  EXPECT_NE(Refusal().find("/batch/weights"), std::string::npos) << Refusal();
  spec_.members = good;
  spec_.members["benchmark"]["language"] = "java";
  EXPECT_NE(Refusal().find("few.jsonl"), std::string::npos);
  spec_.members = good;
  spec_.members["sampling"]["temperatur"] = 1;
  EXPECT_NE(Refusal().find("temperatur"), std::string::npos);
  spec_.members = good;
  spec_.members["sampling"]["top_p"] = 0;
  EXPECT_NE(Refusal().find("top_p"), std::string::npos);
  spec_.members = good;
  spec_.members["sampling"]["max_tokens_total"] = 2049;
  EXPECT_NE(Refusal().find("2048"), std::string::npos);
  spec_.members = good;
  std::ofstream(dir_ + "/few.jsonl", std::ios::app)
      << R"({"name": "x", "language": "py", "prompt": "p"})"
      << "\n";
  EXPECT_NE(Refusal().find("few.jsonl:4"), std::string::npos) << Refusal();
  EXPECT_FALSE(std::filesystem::exists(dir_ + "/completions.jsonl"));
}

}  // namespace
}  // namespace bitsweep::engine
