// Reading completions: every mistake is named with its line.
#include "worker/grade/completions.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bitsweep::grade {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::vector<benchmark::Record> Records() {
  std::vector<benchmark::Record> records(2);
  records[0].name = "Demo_0_sum";
  records[1].name = "Demo_1_product";
  records[1].canonical_solution = "x";
  return records;
}

std::string ErrorOf(const std::string& text) {
  const auto completions = ParseCompletions(text, "c.jsonl", Records());
  EXPECT_FALSE(completions.ok()) << text;
  return std::string(completions.status().message());
}

TEST(CompletionsTest, KeepTheirOrderAndIgnoreFurtherKeys) {
  const auto completions = ParseCompletions(
      "{\"name\": \"Demo_1_product\", \"sample\": 1, \"completion\": \"b\", \"tokens\": 3}\n\n"
      "{\"name\": \"Demo_0_sum\", \"sample\": 0, \"completion\": \"a\"}",
      "c.jsonl",
      Records());
  ASSERT_TRUE(completions.ok()) << completions.status();
  ASSERT_EQ(completions->size(), 2U);
  EXPECT_EQ((*completions)[0].record, 1U);
  EXPECT_EQ((*completions)[0].sample, 1);
  EXPECT_EQ((*completions)[0].text, "b");
  EXPECT_EQ((*completions)[1].record, 0U);
}

TEST(CompletionsTest, UnknownNamesGetTheNearestOne) {
  EXPECT_THAT(ErrorOf("{\"name\": \"Demo_1_prodcut\", \"sample\": 0, \"completion\": \"\"}"),
              AllOf(HasSubstr("c.jsonl:1: "),
                    HasSubstr("\"Demo_1_prodcut\""),
                    HasSubstr("\"Demo_1_product\"")));
}

TEST(CompletionsTest, MalformedLinesAreNamed) {
  const std::string good = "{\"name\": \"Demo_0_sum\", \"sample\": 0, \"completion\": \"\"}\n";
  EXPECT_THAT(ErrorOf(good + "{oops"), HasSubstr("c.jsonl:2: not a JSON object"));
  EXPECT_THAT(ErrorOf(good + "[]"), HasSubstr("c.jsonl:2: not a JSON object"));
  EXPECT_THAT(ErrorOf(good + "{\"name\": \"Demo_0_sum\", \"sample\": 1}"),
              HasSubstr("c.jsonl:2: required key `completion`"));
  EXPECT_THAT(ErrorOf("{\"name\": \"Demo_0_sum\", \"sample\": -1, \"completion\": \"\"}"),
              HasSubstr("`sample`"));
  EXPECT_THAT(ErrorOf("{\"name\": \"Demo_0_sum\", \"sample\": 0, \"completion\": 5}"),
              HasSubstr("must be strings"));
  EXPECT_THAT(ErrorOf(good + good), AllOf(HasSubstr("c.jsonl:2"), HasSubstr("comes twice")));
  EXPECT_THAT(ErrorOf("\n"), HasSubstr("no completion"));
  EXPECT_THAT(ErrorOf("{\"name\": \"Demo_0_sum\", \"sample\": 0, \"completion\": \"" +
                      std::string(1100000, 'x') + "\"}"),
              HasSubstr("bytes, allowed are"));
}

TEST(CompletionsTest, AFileThatIsNotThereIsNotFound) {
  EXPECT_TRUE(absl::IsNotFound(ReadCompletions("/nowhere/c.jsonl", Records()).status()));
}

TEST(CompletionsTest, CanonicalSolutionsAreRequiredOfEveryRecord) {
  const auto completions = CanonicalCompletions(Records());
  EXPECT_THAT(std::string(completions.status().message()), HasSubstr("\"Demo_0_sum\" has no"));
}

}  // namespace
}  // namespace bitsweep::grade
