// How a sweep file says what the graded programs may use, and what becomes of it in specs and keys.
#include <fstream>

#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/study/plan_scene.h"

namespace bitsweep {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

/// kSmallSweep with `grading` in its benchmark, on line 16.
std::string Graded(const std::string& grading) {
  return Replaced(kSmallSweep, "questions:\n", "    grading: {" + grading + "}\nquestions:\n");
}

std::string MistakesOf(const std::string& text) {
  const absl::StatusOr<SweepSpec> spec = ParseSweep(text, "s.yaml");
  return spec.ok() ? "" : std::string(spec.status().message());
}

const StageDefinition& GradeStage(const SweepPlan& plan, const std::string& language) {
  for (const StageDefinition& stage : plan.stages) {
    if (stage.kind == StageKind::kGrade &&
        json::parse(stage.spec).at("benchmark").at("language") == language) {
      return stage;
    }
  }
  ADD_FAILURE() << "no stage grades " << language;
  return plan.stages.front();
}

json GradingOf(const SweepPlan& plan, const std::string& language) {
  return json::parse(GradeStage(plan, language).spec).at("grading");
}

TEST(GradingTest, LimitsAreOfABenchmarkAndOfALanguage) {
  const SweepPlan plan = PlanOf(
      Graded("tests: study, timeout_seconds: 20, limits: {processes: 32}, "
             "java: {timeout_seconds: 40, limits: {memory_bytes: 4294967296, processes: 512}}"));
  EXPECT_EQ(GradingOf(plan, "python"),
            json::parse(R"({"post_processing": "study", "isolation": "bubblewrap", "tests": "study",
                            "timeout_seconds": 20, "limits": {"processes": 32}})"));
  EXPECT_EQ(GradingOf(plan, "java"),
            json::parse(R"({"post_processing": "study", "isolation": "bubblewrap", "tests": "study",
                            "timeout_seconds": 40, "limits": {"processes": 512, "memory_bytes": 4294967296}})"));
  EXPECT_EQ(GradeStage(plan, "java").needs.host_bytes, 4294967296);
}

TEST(GradingTest, WhatOneLanguageMayUseChangesNoKeyOfTheOther) {
  const SweepPlan plain = PlanOf(kSmallSweep);
  const SweepPlan other = PlanOf(Graded("python: {limits: {open_files: 64}}"));
  EXPECT_NE(GradeStage(other, "python").key, GradeStage(plain, "python").key);
  EXPECT_EQ(GradeStage(other, "java").key, GradeStage(plain, "java").key);
  EXPECT_EQ(GradeStage(PlanOf(Graded("tests: apart, timeout_seconds: 15")), "java").key,
            GradeStage(plain, "java").key);
}

TEST(GradingTest, MistakesAreNamedWithTheirPlace) {
  EXPECT_THAT(MistakesOf(Graded("limits: {memory: 1}")),
              HasSubstr("s.yaml:16: benchmark 'demo': grading: limits: unknown key 'memory'"));
  EXPECT_THAT(MistakesOf(Graded("tests: inside")),
              HasSubstr("tests: found 'inside'; allowed: apart, study"));
  EXPECT_THAT(
      MistakesOf(Replaced(Replaced(Graded("java: {timeout_seconds: 3}"), ", java: java.jsonl", ""),
                          ", java: 60",
                          "")),
      HasSubstr("s.yaml:16: benchmark 'demo': grading: java: the benchmark has no file of this "
                "language"));
}

/// What grade specs may say, a sweep file can, and no more.
TEST(GradingTest, LimitsAreThoseOfTheStageSpecsSchema) {
  std::ifstream file("../proto/schemas/stage_spec.schema.json");
  ASSERT_TRUE(file);
  const json limits =
      json::parse(file).at("$defs").at("grading").at("properties").at("limits").at("properties");
  ASSERT_FALSE(limits.empty());
  for (const auto& [name, limit] : limits.items()) {
    const std::int64_t least = limit.at("minimum"), most = limit.at("maximum");
    for (const std::int64_t value : {least, most}) {
      EXPECT_EQ(MistakesOf(Graded(absl::StrCat("limits: {", name, ": ", value, "}"))), "");
    }
    for (const std::int64_t value : {least - 1, most + 1}) {
      EXPECT_THAT(MistakesOf(Graded(absl::StrCat("limits: {", name, ": ", value, "}"))),
                  HasSubstr(absl::StrCat(name, ": found '", value, "'")));
    }
  }
}

}  // namespace
}  // namespace bitsweep
