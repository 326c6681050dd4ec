// Reading benchmark files: both forms, McEval's upstream form, and every complaint with its place.
#include "worker/benchmark/record.h"

#include <filesystem>
#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bitsweep::benchmark {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr const char* kGood =
    R"json({"name": "A_1", "language": "py", "prompt": "def f():\n", "tests": "f()", )json"
    R"json("stop_tokens": ["\ndef"]})json";

/// The message of the error that `text` makes; fails when it makes none.
std::string ErrorOf(const std::string& text) {
  try {
    ParseBenchmark(text, "file.jsonl");
  } catch (const BenchmarkError& error) {
    return error.what();
  }
  ADD_FAILURE() << "no error for " << text;
  return "";
}

std::string Without(const std::string& key) {
  std::string text = "{";
  for (const auto& [name, value] :
       std::initializer_list<std::pair<const char*, const char*>>{{"name", "\"A_1\""},
                                                                  {"language", "\"py\""},
                                                                  {"prompt", "\"p\""},
                                                                  {"tests", "\"t\""},
                                                                  {"stop_tokens", "[]"}}) {
    if (name != key) {
      text += (text.size() > 1 ? std::string(",") : std::string()) + "\"" + name + "\":" + value;
    }
  }
  return text + "}";
}

TEST(RecordTest, JsonLinesAreReadInOrderAndBlankLinesAreSkipped) {
  std::string second = kGood;
  second.replace(second.find("A_1"), 3, "A_2");
  const std::vector<Record> records =
      ParseBenchmark(std::string("\n") + kGood + "\n\n" + second + "\n", "f");
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(records[0].name, "A_1");
  EXPECT_EQ(records[0].language, Language::kPython);
  EXPECT_EQ(records[0].prompt, "def f():\n");
  EXPECT_EQ(records[0].tests, "f()");
  EXPECT_EQ(records[0].stop_tokens, std::vector<std::string>{"\ndef"});
  EXPECT_FALSE(records[0].canonical_solution.has_value());
  EXPECT_EQ(records[1].name, "A_2");
}

TEST(RecordTest, ArraysAreReadWithBracketsAndQuotesInStrings) {
  const std::string text =
      R"json( [ {"name": "a]}\"[", "language": "java", "prompt": "{[", "tests": "}", )json"
      R"json("stop_tokens": [], "canonical_solution": "x"},
{"name": "b", "language": "java", "prompt": "p", "tests": "t", "stop_tokens": []} ] )json";
  const std::vector<Record> records = ParseBenchmark(text, "f");
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(records[0].name, "a]}\"[");
  EXPECT_EQ(records[0].canonical_solution, "x");
}

TEST(RecordTest, EveryRequiredKeyThatIsMissingIsNamedWithItsPlace) {
  for (const char* key : {"name", "language", "prompt", "tests", "stop_tokens"}) {
    EXPECT_THAT(
        ErrorOf(std::string(kGood) + "\n" + Without(key)),
        AllOf(HasSubstr("file.jsonl:2: "), HasSubstr(std::string("`") + key + "` is missing")));
  }
}

TEST(RecordTest, BlankTestsAreAnError) {
  EXPECT_THAT(ErrorOf(R"json({"name": "A", "language": "py", "prompt": "p", "tests": " \n", )json"
                      R"json("stop_tokens": []})json"),
              AllOf(HasSubstr("record \"A\""), HasSubstr("`tests` must not be empty")));
}

TEST(RecordTest, WrongTypesAreNamed) {
  EXPECT_THAT(ErrorOf(R"json({"name": 7, "language": "py", "prompt": "p", "tests": "t", )json"
                      R"json("stop_tokens": []})json"),
              HasSubstr("`name` must be a string, found number"));
  EXPECT_THAT(ErrorOf(R"json({"name": "A", "language": "py", "prompt": "p", "tests": "t", )json"
                      R"json("stop_tokens": "x"})json"),
              HasSubstr("`stop_tokens` must be an array of strings, found string"));
  EXPECT_THAT(ErrorOf(R"json({"name": "A", "language": "py", "prompt": "p", "tests": "t", )json"
                      R"json("stop_tokens": [""]})json"),
              HasSubstr("strings that are not empty"));
  EXPECT_THAT(ErrorOf("17"), HasSubstr("expected a record (a JSON object), found number"));
}

TEST(RecordTest, ANameThatComesTwiceNamesBothLines) {
  EXPECT_THAT(
      ErrorOf(std::string(kGood) + "\n\n" + kGood),
      AllOf(HasSubstr("file.jsonl:3: "), HasSubstr("\"A_1\""), HasSubstr("on line 1 already")));
}

TEST(RecordTest, UnknownAndMixedLanguagesAreErrors) {
  EXPECT_THAT(ErrorOf(R"json({"name": "A", "language": "rs", "prompt": "p", "tests": "t", )json"
                      R"json("stop_tokens": []})json"),
              AllOf(HasSubstr("\"rs\""), HasSubstr("allowed: py")));
  EXPECT_THAT(
      ErrorOf(std::string(kGood) + "\n{\"name\": \"B\", \"language\": \"java\", \"prompt\": \"p\", "
                                   "\"tests\": \"t\", \"stop_tokens\": []}"),
      AllOf(HasSubstr("file.jsonl:2"), HasSubstr("a file holds one language")));
}

TEST(RecordTest, MalformedJsonNamesItsLine) {
  EXPECT_THAT(ErrorOf(std::string(kGood) + "\n{\"name\": \"x\","),
              HasSubstr("file.jsonl:2: malformed JSON"));
  EXPECT_THAT(ErrorOf("[\n" + std::string(kGood) + ",\n{\"name\"\n: oops}]"),
              HasSubstr("file.jsonl:4: malformed JSON"));
  EXPECT_THAT(ErrorOf("[" + std::string(kGood)), HasSubstr("not closed"));
  EXPECT_THAT(ErrorOf("[" + std::string(kGood) + "] x"), HasSubstr("after the end"));
  EXPECT_THAT(ErrorOf("[" + std::string(kGood) + ",]"), HasSubstr("expected a record"));
}

TEST(RecordTest, EmptyBenchmarksAreErrors) {
  EXPECT_THAT(ErrorOf(""), HasSubstr("empty"));
  EXPECT_THAT(ErrorOf("[ ]"), HasSubstr("no record"));
}

TEST(RecordTest, McEvalsUpstreamFormBecomesTheStudys) {
  const std::vector<Record> records = ParseBenchmark(
      R"json({"task_id": "Java/7", "prompt": "public class Solution {\n Solutions s;", )json"
      R"json("canonical_solution": "new Solution()", "test": "Solution.f();"})json",
      "f");
  ASSERT_EQ(records.size(), 1U);
  EXPECT_EQ(records[0].name, "Java-7");
  EXPECT_EQ(records[0].language, Language::kJava);
  EXPECT_EQ(records[0].prompt, "class Problem {\n Solutions s;");
  EXPECT_EQ(records[0].tests, "Problem.f();");
  EXPECT_EQ(records[0].canonical_solution, "new Problem()");
  EXPECT_TRUE(records[0].stop_tokens.empty());
}

TEST(RecordTest, UpstreamStopTokensAreKeptWhereThereAreSome) {
  const auto stops = [](const std::string& more) {
    return ParseBenchmark(
               R"json({"task_id": "Python/3", "prompt": "p", "test": "t")json" + more + "}", "f")
        .front()
        .stop_tokens;
  };
  EXPECT_EQ(stops(R"json(, "stop_tokens": ["x"])json"), std::vector<std::string>{"x"});
  EXPECT_EQ(stops("").size(), 4U);
}

TEST(RecordTest, AFileThatIsNotThereOrAFolderIsAnError) {
  EXPECT_THROW(ReadBenchmark("/nowhere/benchmark.jsonl"), BenchmarkError);
  EXPECT_THROW(ReadBenchmark(std::filesystem::temp_directory_path()), BenchmarkError);
}

TEST(RecordTest, TheDemoBenchmarksHoldSixtyProblemsEach) {
  for (const char* language : {"python", "java"}) {
    const std::vector<Record> records =
        ReadBenchmark(std::string("../deploy/demo/benchmark/") + language + ".jsonl");
    EXPECT_EQ(records.size(), 60U);
    EXPECT_STREQ(LanguageName(records.front().language), language);
    for (const Record& record : records) {
      EXPECT_TRUE(record.canonical_solution.has_value()) << record.name;
    }
  }
}

}  // namespace
}  // namespace bitsweep::benchmark
