#include "worker/engine/generate/completion.h"

#include <gtest/gtest.h>

#include "tests/engine_model/byte_tokenizer.h"

namespace bitsweep::engine {
namespace {

using benchmark::Language;
using benchmark::Record;

Record PythonRecord() {
  return {.name = "p",
          .language = Language::kPython,
          .prompt = "def f(x):\n",
          .tests = "",
          .stop_tokens = {"\ndef", "\n#"},
          .canonical_solution = {}};
}

Record JavaRecord() {
  return {.name = "j",
          .language = Language::kJava,
          .prompt = "class Problem {\n    public static long f(long x) {\n",
          .tests = "",
          .stop_tokens = {},
          .canonical_solution = {}};
}

struct Outcome {
  std::string text;
  std::size_t taken = 0;  // Tokens before it ended.
  Finish finish = Finish::kNone;
};

// Feeds `ids` until the completion ends.
Outcome Feed(const Tokenizer& tokenizer,
             const Record& record,
             const Prompt& prompt,
             const std::vector<std::int64_t>& ids,
             EarlyStop early_stop = EarlyStop::kNone,
             std::int64_t tokens_max = 1000) {
  const std::vector<std::int64_t> eos = {ByteTokenizer::kEos};
  Completion completion({tokenizer, record, eos, tokens_max, early_stop}, prompt);
  Outcome outcome;
  while (outcome.finish == Finish::kNone && outcome.taken < ids.size()) {
    outcome.finish = completion.Append(ids[outcome.taken++]);
  }
  outcome.text = completion.Text();
  EXPECT_EQ(completion.tokens(), static_cast<std::int64_t>(outcome.taken));
  return outcome;
}

Outcome FeedText(const Record& record,
                 const std::string& text,
                 EarlyStop early_stop = EarlyStop::kNone,
                 std::int64_t tokens_max = 1000) {
  const ByteTokenizer bytes;
  return Feed(bytes,
              record,
              MakePrompt(bytes, record.prompt, tokens_max),
              bytes.Encode(text),
              early_stop,
              tokens_max);
}

TEST(CompletionTest, LeadingSpaceOfTheCompletionIsKept) {
  EXPECT_EQ(FeedText(PythonRecord(), " return x").text, " return x");
  EXPECT_EQ(FeedText(PythonRecord(), "\n    return x").text, "\n    return x");
}

TEST(CompletionTest, EndsAtTheEarliestStopStringAndIsCutThere) {
  const Outcome outcome = FeedText(PythonRecord(), "\n    return 1\n# more\ndef g():");
  EXPECT_EQ(outcome.finish, Finish::kStop);
  EXPECT_EQ(outcome.text, "\n    return 1");
  EXPECT_EQ(outcome.taken, std::string("\n    return 1\n#").size());
}

TEST(CompletionTest, AStopStringThatBeginsInThePromptIsNone) {
  Record record = PythonRecord();
  record.prompt = "x = 1\n#";
  record.stop_tokens = {"#!"};
  EXPECT_EQ(FeedText(record, "! y").finish, Finish::kNone);
}

TEST(CompletionTest, EndOfTextEndsAndLeavesNoText) {
  const ByteTokenizer bytes;
  const Record record = PythonRecord();
  std::vector<std::int64_t> ids = bytes.Encode("\n    pass");
  ids.push_back(ByteTokenizer::kEos);
  ids.push_back('x');
  const Outcome outcome = Feed(bytes, record, MakePrompt(bytes, record.prompt, 100), ids);
  EXPECT_EQ(outcome.finish, Finish::kEos);
  EXPECT_EQ(outcome.text, "\n    pass");
  EXPECT_EQ(outcome.taken, 10U);
}

TEST(CompletionTest, LimitCountsPromptAndCompletion) {
  // Beginning-of-text and the 9 bytes "def f(x):" are 10; 4 more fit into 14.
  const Outcome outcome = FeedText(PythonRecord(), "0123456789", EarlyStop::kNone, 14);
  EXPECT_EQ(outcome.finish, Finish::kLength);
  EXPECT_EQ(outcome.text, "0123");
}

TEST(CompletionTest, CharactersMayComeByteByByte) {
  const Outcome outcome = FeedText(PythonRecord(), "\n    s = \"\xF0\x9F\x98\x80\xC3\xA9\"\n# e");
  EXPECT_EQ(outcome.finish, Finish::kStop);
  EXPECT_EQ(outcome.text, "\n    s = \"\xF0\x9F\x98\x80\xC3\xA9\"");
  // Half a character at the end decodes to replacement characters: the stored text is valid UTF-8
  // all the same.
  EXPECT_EQ(FeedText(PythonRecord(), "a\xF0\x9F").text, "a\xEF\xBF\xBD\xEF\xBF\xBD");
  // Bytes that never become a character do not hide a stop string.
  EXPECT_EQ(FeedText(PythonRecord(), "a\xFF\xFE\n#").finish, Finish::kStop);
}

TEST(CompletionTest, APromptCutInsideACharacterGivesTheCharacterToTheCompletion) {
  const ByteTokenizer bytes;
  const Record record = PythonRecord();
  const Prompt prompt = {{ByteTokenizer::kBos, 'h', 0xC3}, true};
  EXPECT_EQ(Feed(bytes, record, prompt, {0xA9, 'x'}).text, "\xC3\xA9x");
  EXPECT_EQ(Feed(bytes, record, prompt, {'x'}).text, "x");
}

TEST(CompletionTest, ClassEndStopsJavaOnlyWhenAsked) {
  const std::string text =
      "        return x;\n    }\n    static int g() { return 1; }\n}\nclass Other {";
  EXPECT_EQ(FeedText(JavaRecord(), text, EarlyStop::kNone).finish, Finish::kNone);
  const Outcome outcome = FeedText(JavaRecord(), text, EarlyStop::kClass);
  EXPECT_EQ(outcome.finish, Finish::kScanner);
  EXPECT_EQ(outcome.text, "        return x;\n    }\n    static int g() { return 1; }\n}");
}

TEST(CompletionTest, FunctionEndStopsBothLanguagesOnlyWhenAsked) {
  const Outcome java =
      FeedText(JavaRecord(), "        return x;\n    }\n    static", EarlyStop::kFunction);
  EXPECT_EQ(java.finish, Finish::kScanner);
  EXPECT_EQ(java.text, "        return x;\n    }");
  const std::string python = "\n    return x\nprint(1)\n";
  EXPECT_EQ(FeedText(PythonRecord(), python, EarlyStop::kFunction).finish, Finish::kScanner);
  EXPECT_EQ(FeedText(PythonRecord(), python, EarlyStop::kClass).finish, Finish::kNone);
}

// The real tokenizers, split at every place.
class CompletionTokenizerTest : public ::testing::TestWithParam<std::string> {};

TEST_P(CompletionTokenizerTest, PromptAndCompletionTextMakeTheWhole) {
  const auto tokenizer = Tokenizer::Load("../deploy/demo/models/" + GetParam());
  const std::string whole =
      "def f(x):\n    # na\xC3\xAFve \xF0\x9F\x98\x80\n    return  x +  1\n\n\ndef g():\n\tpass";
  std::vector<std::int64_t> ids = tokenizer->Encode(whole);
  ids.insert(ids.begin(), tokenizer->bos_id());
  ASSERT_EQ(tokenizer->Decode(ids, true), whole);
  const Record record = PythonRecord();
  for (std::size_t cut = 1; cut < ids.size(); ++cut) {
    const auto middle = ids.begin() + static_cast<std::ptrdiff_t>(cut);
    const Prompt prompt = {{ids.begin(), middle}, false};
    const std::vector<std::int64_t> rest(middle, ids.end());
    std::string before = tokenizer->Decode(prompt.ids, true);
    while (before.ends_with("\xEF\xBF\xBD")) {
      before.resize(before.size() - 3);
    }
    ASSERT_EQ(before + CompletionText(*tokenizer, prompt.ids, rest), whole) << cut;
    // Ends with the very token that completes the stop string, however the pieces were decoded on
    // the way.
    const std::size_t stop = whole.find("\ndef g", before.size());
    const std::size_t stop_or_comment = std::min(stop, whole.find("\n#", before.size()));
    const Outcome outcome = Feed(*tokenizer, record, prompt, rest);
    ASSERT_EQ(outcome.finish, stop_or_comment == std::string::npos ? Finish::kNone : Finish::kStop)
        << cut;
    if (outcome.finish == Finish::kStop) {
      EXPECT_EQ(outcome.text, whole.substr(before.size(), stop_or_comment - before.size()));
      const std::vector<std::int64_t> shorter(
          rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(outcome.taken) - 1);
      EXPECT_EQ(
          benchmark::FindStop(CompletionText(*tokenizer, prompt.ids, shorter), record.stop_tokens),
          std::string::npos);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(DemoModels,
                         CompletionTokenizerTest,
                         ::testing::Values("sparrow-1m", "finch-4m"),
                         [](const auto& suite) {
                           std::string name = suite.param;
                           name.erase(name.find('-'), 1);
                           return name;
                         });

}  // namespace
}  // namespace bitsweep::engine
