// Stage specs of kind `grade`: what is read, and every mistake by its member.
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bitsweep_generated/semantics.h"
#include "worker/grade/grade_events.h"
#include "worker/grade/grade_job.h"

namespace bitsweep::grade {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

json Good() {
  return {{"protocol", 1},
          {"kind", "grade"},
          {"stage", std::string(64, 'a')},
          {"attempt", 1},
          {"semantics", SemanticsOf("grade")},
          {"threads", 2},
          {"benchmark", {{"file", "/b.jsonl"}, {"language", "java"}}},
          {"completions", {{"file", "/c.jsonl"}}},
          {"grading",
           {{"post_processing", "keep_helpers"}, {"isolation", "none"}, {"timeout_seconds", 2.5}}},
          {"output", {{"dir", "/out"}}}};
}

std::string ErrorOf(const json& spec) {
  const auto job = ParseSpec(spec.dump(), "spec.json");
  EXPECT_TRUE(absl::IsInvalidArgument(job.status())) << spec;
  return std::string(job.status().message());
}

TEST(SpecTest, EveryMemberArrives) {
  const auto job = ParseSpec(Good().dump(), "spec.json");
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->benchmark, "/b.jsonl");
  EXPECT_EQ(job->completions, "/c.jsonl");
  EXPECT_EQ(job->output, "/out/verdicts.jsonl");
  EXPECT_EQ(job->language, benchmark::Language::kJava);
  EXPECT_EQ(job->options.jobs, 4);  // Two programs a core.
  EXPECT_EQ(job->options.post_processing, benchmark::PostProcessing::kKeepHelpers);
  EXPECT_EQ(job->options.isolation, Isolation::kNone);
  EXPECT_EQ(job->options.limits.cpu, absl::Seconds(2.5));
  EXPECT_EQ(job->options.limits.wall, absl::Seconds(10));
}

TEST(SpecTest, LimitsAreSetByNameAndMistakesAreNamed) {
  json spec = Good();
  spec["grading"]["limits"] = {{"memory_bytes", 1 << 30}, {"processes", 512}, {"open_files", 2000}};
  const auto job = ParseSpec(spec.dump(), "spec.json");
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->options.limits.cpu, absl::Seconds(2.5));
  EXPECT_EQ(job->options.limits.memory_bytes, 1 << 30);
  EXPECT_EQ(job->options.limits.processes, 512);
  EXPECT_EQ(job->options.limits.open_files, 2000);
  EXPECT_EQ(job->options.limits.disk_bytes, Limits().disk_bytes);
  spec["grading"]["limits"] = {{"processes", 1}};
  EXPECT_THAT(ErrorOf(spec), HasSubstr("/grading/limits/processes must be a number from 4"));
  spec["grading"]["limits"] = {{"memory", 1}};
  EXPECT_THAT(ErrorOf(spec), HasSubstr("/grading/limits/memory is not a limit"));
}

TEST(SpecTest, LimitsHaveTheRangesOfTheSchema) {
  std::ifstream file("../proto/schemas/stage_spec.schema.json");
  ASSERT_TRUE(file);
  const json limits =
      json::parse(file).at("$defs").at("grading").at("properties").at("limits").at("properties");
  EXPECT_EQ(limits.size(), kLimitOptions.size());
  for (const LimitOption& option : kLimitOptions) {
    EXPECT_EQ(limits.at(option.name).at("minimum"), option.low) << option.name;
    EXPECT_EQ(limits.at(option.name).at("maximum"), option.high) << option.name;
  }
}

TEST(SpecTest, GradingHasTheStudysDefaults) {
  json spec = Good();
  spec.erase("grading");
  const auto job = ParseSpec(spec.dump(), "spec.json");
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->options.post_processing, benchmark::PostProcessing::kStudy);
  EXPECT_EQ(job->options.isolation, Isolation::kBubblewrap);
  EXPECT_EQ(job->options.limits.cpu, absl::Seconds(15));
  EXPECT_EQ(job->options.limits.wall, absl::Seconds(60));
}

TEST(SpecTest, MistakesNameTheMember) {
  json spec = Good();
  spec["semantics"] = 99;
  EXPECT_THAT(ErrorOf(spec), HasSubstr("/semantics is 99, this tool has"));
  spec = Good();
  spec["kind"] = "generate";
  EXPECT_THAT(ErrorOf(spec), HasSubstr("/kind must be \"grade\", found \"generate\""));
  spec = Good();
  spec["protocol"] = 2;
  EXPECT_THAT(ErrorOf(spec), HasSubstr("/protocol"));
  spec = Good();
  spec["output"].erase("dir");
  EXPECT_THAT(ErrorOf(spec), HasSubstr("/output/dir is missing"));
  spec = Good();
  spec["completions"]["file"] = 3;
  EXPECT_THAT(ErrorOf(spec), HasSubstr("/completions/file must be a string"));
  spec = Good();
  spec["grading"]["isolation"] = "docker";
  EXPECT_THAT(ErrorOf(spec), HasSubstr("bubblewrap, landlock or none, found \"docker\""));
  spec = Good();
  spec["grading"]["timeout_seconds"] = 0;
  EXPECT_THAT(ErrorOf(spec), HasSubstr("/grading/timeout_seconds must be a number"));
  spec = Good();
  spec["benchmark"]["language"] = "rust";
  EXPECT_THAT(ErrorOf(spec), HasSubstr("python or java"));
  EXPECT_TRUE(absl::IsInvalidArgument(ParseSpec("{", "spec.json").status()));
  EXPECT_TRUE(absl::IsNotFound(ReadSpec("/nowhere/spec.json").status()));
}

TEST(FailureClassTest, WhatTheMachineDidIsTriedAgain) {
  for (const absl::Status& status : {absl::UnavailableError("a process ended"),
                                     absl::DeadlineExceededError("no answer in time")}) {
    EXPECT_STREQ(FailureClassOf(status), "sandbox") << status;
  }
  EXPECT_STREQ(FailureClassOf(absl::InvalidArgumentError("a wrong member")), "bad_input");
  EXPECT_STREQ(FailureClassOf(absl::InternalError("a mistake of ours")), "bug");
}

}  // namespace
}  // namespace bitsweep::grade
