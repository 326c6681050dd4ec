#include "coordinator/study/facts.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/study/sweep_files.h"

#include "proto/base/digest.h"

namespace bitsweep {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr const char* kRecord =
    R"json({"name": "a", "language": "py", "prompt": "def a():\n", "tests": "assert a()", "stop_tokens": ["\ndef"]})json";

class FactsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const ::testing::TestInfo* test = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ =
        std::filesystem::path(::testing::TempDir()) / (std::string("study-facts-") + test->name());
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return (folder_ / name).string();
  }
  std::string BenchmarkMistake(const std::string& text, const std::string& language = "python") {
    const absl::StatusOr<int> count =
        CheckBenchmarkFile(Write("b.jsonl", text), "b.jsonl", language, std::nullopt);
    return count.ok() ? "" : std::string(count.status().message());
  }
  std::string CalibrationMistake(const std::string& text,
                                 const CalibrationPart& part,
                                 std::int64_t length) {
    return std::string(
        CheckCalibrationFile(Write("c.jsonl", text), "c.jsonl", part, length).message());
  }

  std::filesystem::path folder_;
};

TEST_F(FactsTest, RecordsAreCountedInLinesAndArrays) {
  const std::string two =
      std::string(kRecord) + "\n\n" + Replaced(kRecord, "\"a\"", "\"b\"") + "\r\n";
  EXPECT_EQ(CheckBenchmarkFile(Write("b", two), "b", "python", 2).value(), 2);
  const std::string array =
      " \n[" + std::string(kRecord) + ", " + Replaced(kRecord, "\"a\"", "\"b\"") + "]";
  EXPECT_EQ(CheckBenchmarkFile(Write("b", array), "b", "python", std::nullopt).value(), 2);
  const std::string upstream =
      R"({"task_id": "Java/1", "prompt": "p", "canonical_solution": "s", "test": "t"})";
  EXPECT_EQ(CheckBenchmarkFile(Write("b", upstream), "b", "java", std::nullopt).value(), 1);
}

TEST_F(FactsTest, ARecordWithoutTestsIsNamedWithLineAndKey) {
  const std::string text =
      std::string(kRecord) + "\n" +
      R"({"name": "b", "language": "py", "prompt": "x", "test": "y", "stop_tokens": []})" + "\n";
  EXPECT_EQ(BenchmarkMistake(text),
            "b.jsonl:2: record 'b': key 'tests' is missing; there is 'test'");
}

TEST_F(FactsTest, BadRecordsAreNamed) {
  EXPECT_THAT(BenchmarkMistake(""), HasSubstr("b.jsonl: holds no record"));
  EXPECT_THAT(BenchmarkMistake("{\"name\": "), StartsWith("b.jsonl:1: not JSON: parse error"));
  EXPECT_THAT(BenchmarkMistake("[1]"), HasSubstr("b.jsonl: record 1: found number"));
  EXPECT_THAT(BenchmarkMistake("[{]"), HasSubstr("b.jsonl: parse error"));
  EXPECT_THAT(BenchmarkMistake(std::string(kRecord) + "\n" + kRecord),
              HasSubstr("b.jsonl:2: the name 'a' comes twice"));
  EXPECT_THAT(BenchmarkMistake(kRecord, "java"),
              HasSubstr("language: found 'py'; this file is for java"));
  EXPECT_THAT(BenchmarkMistake(Replaced(kRecord, "[\"\\ndef\"]", "\"x\"")),
              HasSubstr("stop_tokens: a list"));
  EXPECT_THAT(BenchmarkMistake(Replaced(kRecord, "\"assert a()\"", "\"\"")),
              HasSubstr("tests: found an empty text"));
}

TEST_F(FactsTest, DeclaredProblemsMustAgree) {
  const absl::StatusOr<int> count = CheckBenchmarkFile(Write("b", kRecord), "b", "python", 60);
  EXPECT_THAT(std::string(count.status().message()),
              HasSubstr("holds 1 problems, but the sweep file's `problems` says 60"));
}

TEST_F(FactsTest, ShortCalibrationFilesAreRefused) {
  CalibrationPart part;
  part.sequences = 2;
  const std::string line = R"({"text": "0123456789"})"
                           "\n";  // At most 12 tokens.
  part.window = "pack";
  EXPECT_EQ(CalibrationMistake(line + line, part, 12), "") << "24 tokens are just possible";
  EXPECT_THAT(CalibrationMistake(line + line, part, 13),
              HasSubstr("too short: 20 bytes of text in 2 documents cannot give 2 x 13 tokens"));
  part.window = "first";
  EXPECT_EQ(CalibrationMistake(line + line, part, 12), "");
  EXPECT_THAT(CalibrationMistake(line, part, 12),
              HasSubstr("too short: 1 of 1 documents can have 12 tokens; needed: at least 2"));
  part.window = "random";
  EXPECT_EQ(CalibrationMistake(line, part, 12), "");
  part.min_tokens = 13;
  EXPECT_THAT(CalibrationMistake(line, part, 12),
              HasSubstr("too short: 0 of 1 documents can have 13 tokens"));
}

TEST_F(FactsTest, CalibrationLinesMustHaveText) {
  CalibrationPart part;
  part.sequences = 1;
  EXPECT_THAT(CalibrationMistake("{\"text\": \"abc\"}\n{\"txt\": \"abc\"}\n", part, 2),
              StartsWith("c.jsonl:2: key 'text'"));
  EXPECT_THAT(CalibrationMistake("plain prose\n", part, 2), StartsWith("c.jsonl:1: not JSON"));
  EXPECT_THAT(CalibrationMistake("\n", part, 2), HasSubstr("holds no document"));
}

TEST_F(FactsTest, CheckFilesReportsEveryFileWithTheLineThatNamesIt) {
  std::string sweep = Replaced(
      kSmallSweep, "sequences: 64, sequence_length: 512", "sequences: 1, sequence_length: 4");
  sweep = Replaced(sweep, "problems: {python: 60, java: 60}", "problems: {python: 1}");
  const absl::StatusOr<SweepSpec> spec = ParseSweep(sweep, "s.yaml");
  ASSERT_TRUE(spec.ok()) << spec.status();
  const FileResolver resolve = [&](const std::string& path) { return (folder_ / path).string(); };
  Write("random.jsonl", "{\"text\": \"a few words\"}\n");
  Write("python.jsonl", Replaced(kRecord, "tests", "test"));
  const std::string message(CheckFiles(*spec, resolve).status().message());
  EXPECT_THAT(message,
              HasSubstr("s.yaml:10: calibration 'code': code.jsonl: no such file (looked for "));
  EXPECT_THAT(message,
              HasSubstr("s.yaml:13: benchmark 'demo' (python): python.jsonl:1: record 'a': key "
                        "'tests' is missing"));
  EXPECT_THAT(message, HasSubstr("s.yaml:13: benchmark 'demo' (java): java.jsonl: no such file"));
  EXPECT_THAT(message, ::testing::Not(HasSubstr("random.jsonl")));
}

TEST_F(FactsTest, CheckFilesGathersDigestSizeAndProblems) {
  std::string sweep =
      Replaced(kSmallSweep, "problems: {python: 60, java: 60}", "problems: {python: 1}");
  for (int i = 0; i < 2; ++i) {
    sweep =
        Replaced(sweep, "sequences: 64, sequence_length: 512", "sequences: 1, sequence_length: 4");
  }
  const absl::StatusOr<SweepSpec> spec = ParseSweep(sweep, "s.yaml");
  ASSERT_TRUE(spec.ok()) << spec.status();
  const std::string text = "{\"text\": \"a few words\"}\n";
  Write("random.jsonl", text);
  Write("code.jsonl", text);
  Write("python.jsonl", kRecord);
  Write("java.jsonl", Replaced(kRecord, "\"py\"", "\"java\""));
  const absl::StatusOr<FileFactsByPath> files =
      CheckFiles(*spec, [&](const std::string& path) { return (folder_ / path).string(); });
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_EQ(files->at("random.jsonl").digest, Sha256Hex(text));
  EXPECT_EQ(files->at("random.jsonl").size, static_cast<std::int64_t>(text.size()));
  EXPECT_EQ(files->at("random.jsonl").problems, std::nullopt);
  EXPECT_EQ(files->at("java.jsonl").problems, 1);
}

}  // namespace
}  // namespace bitsweep
