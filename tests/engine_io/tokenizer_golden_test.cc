#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include <gtest/gtest.h>

#include "tests/engine_io/test_folder.h"
#include "worker/engine/tokenizer/tokenizer.h"

namespace bitsweep::engine {
namespace {

struct Golden {
  const char* file;
  const char* model;
};

class TokenizerGoldenTest : public ::testing::TestWithParam<Golden> {};

// Ids and decoded texts of Hugging Face tokenizers on the same files.
TEST_P(TokenizerGoldenTest, EveryVectorMatches) {
  const auto tokenizer = Tokenizer::Load(kModels + GetParam().model);
  std::ifstream file(GetParam().file);
  ASSERT_TRUE(file) << GetParam().file;
  std::string line;
  int vectors = 0;
  while (std::getline(file, line)) {
    const nlohmann::json golden = nlohmann::json::parse(line);
    const auto text = golden["text"].get<std::string>();
    const auto ids = golden["ids"].get<std::vector<std::int64_t>>();
    EXPECT_EQ(tokenizer->Encode(text), ids) << text;
    EXPECT_EQ(tokenizer->Decode(ids), golden["decoded"].get<std::string>()) << text;
    ++vectors;
  }
  EXPECT_EQ(vectors, 150);
}

INSTANTIATE_TEST_SUITE_P(Models,
                         TokenizerGoldenTest,
                         ::testing::Values(Golden{"golden/tokenizer/sparrow.jsonl", "sparrow-1m"},
                                           Golden{"golden/tokenizer/sparrow.jsonl", "sparrow-4m"},
                                           Golden{"golden/tokenizer/finch.jsonl", "finch-4m"}));

TEST(TokenizerTest, SpecialTokensComeFromTheConfig) {
  const auto sparrow = Tokenizer::Load(kModels + "sparrow-1m");
  EXPECT_EQ(sparrow->bos_id(), 1);
  EXPECT_EQ(sparrow->eos_id(), 2);
  EXPECT_EQ(sparrow->vocab_size(), 2048);
  EXPECT_TRUE(sparrow->IsSpecial(2));
  EXPECT_FALSE(sparrow->IsSpecial(100));
  EXPECT_EQ(sparrow->Decode({1, 289, 2}, true), "a");
  EXPECT_EQ(sparrow->Decode({1, 289, 2}), "<s> a</s>");
  const auto finch = Tokenizer::Load(kModels + "finch-4m");
  EXPECT_EQ(finch->bos_id(), 0);
  EXPECT_EQ(finch->eos_id(), 1);
}

TEST(TokenizerTest, InvalidUtf8IsReplacedRatherThanRefused) {
  const auto finch = Tokenizer::Load(kModels + "finch-4m");
  EXPECT_EQ(finch->Decode(finch->Encode("a\xff"
                                        "b")),
            "a\xEF\xBF\xBD"
            "b");
}

TEST(TokenizerTest, ManyThreadsShareOneTokenizer) {
  const auto tokenizer = Tokenizer::Load(kModels + "finch-4m");
  const std::string text = "def f(x):\n    return x + 1234  # naïve 🙂\n";
  const std::vector<std::int64_t> want = tokenizer->Encode(text);
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (std::size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) {
        wrong[t] += tokenizer->Encode(text) != want;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

}  // namespace
}  // namespace bitsweep::engine
