#include "worker/engine/generate/prompt.h"

#include <gtest/gtest.h>

#include "tests/engine_model/byte_tokenizer.h"

namespace bitsweep::engine {
namespace {

TEST(PromptTest, WhiteSpaceIsStrippedAtBothEndsOnly) {
  EXPECT_EQ(StripWhiteSpace("\n\t def f():\n    \"\"\"x\"\"\"\n    \r\n"),
            "def f():\n    \"\"\"x\"\"\"");
  EXPECT_EQ(StripWhiteSpace("\xC2\xA0\xE3\x80\x80x\x1F\xE2\x80\xA9"), "x");
  EXPECT_EQ(StripWhiteSpace(" \n"), "");
  EXPECT_EQ(StripWhiteSpace(""), "");
  EXPECT_EQ(StripWhiteSpace("\xC3\xA9"), "\xC3\xA9");  // A letter that shares a lead byte's kind.
}

TEST(PromptTest, BeginningOfTextComesFirst) {
  const Prompt prompt = MakePrompt(ByteTokenizer(), " ab\n", 100);
  EXPECT_EQ(prompt.ids, (std::vector<std::int64_t>{ByteTokenizer::kBos, 'a', 'b'}));
  EXPECT_FALSE(prompt.truncated);
}

TEST(PromptTest, PromptLeavesRoomForOneToken) {
  // "abc" and its beginning-of-text are 4 ids.
  EXPECT_FALSE(MakePrompt(ByteTokenizer(), "abc", 5).truncated);
  const Prompt cut = MakePrompt(ByteTokenizer(), "abc", 4);
  EXPECT_TRUE(cut.truncated);
  EXPECT_EQ(cut.ids, (std::vector<std::int64_t>{ByteTokenizer::kBos, 'a', 'b'}));
}

}  // namespace
}  // namespace bitsweep::engine
