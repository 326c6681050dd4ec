// The study's own benchmark files, read where there is a copy beside the checkout
// (tests/README.md).
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/benchmark/shared_file.h"
#include "worker/benchmark/record.h"

namespace bitsweep::benchmark {
namespace {

TEST(StudyFilesTest, AreReadInEveryForm) {
  const struct {
    const char* path;
    std::size_t records;
    const char* first;
    Language language;
  } files[] = {
      {"multipl-e/humaneval-java-reworded.json",
       158,
       "HumanEval_56_correct_bracketing",
       Language::kJava},
      {"multipl-e/humaneval-py-reworded.jsonl",
       161,
       "HumanEval_0_has_close_elements",
       Language::kPython},
      {"multipl-e/humaneval-original-with-solutions.jsonl", 164, "Python-0", Language::kPython},
      {"mceval/mceval_java.jsonl", 53, "Java-1", Language::kJava},
      {"mceval/mceval_py.jsonl", 42, "Python-7", Language::kPython},
      {"mceval/upstream-java-with-solutions.jsonl", 53, "Java-1", Language::kJava}};
  for (const auto& file : files) {
    const auto path = SharedFile(std::string("benchmarks/") + file.path);
    if (!path) {
      GTEST_SKIP() << "skipped: benchmarks/" << file.path << " is not in " << SharedFolder();
    }
    const std::vector<Record> records = ReadBenchmark(*path);
    EXPECT_EQ(records.size(), file.records) << file.path;
    EXPECT_EQ(records.front().name, file.first) << file.path;
    EXPECT_EQ(records.front().language, file.language) << file.path;
  }
}

TEST(StudyFilesTest, UpstreamMcEvalBecomesTheConvertedFile) {
  const auto upstream = SharedFile("benchmarks/mceval/upstream-java-with-solutions.jsonl");
  const auto converted = SharedFile("benchmarks/mceval/mceval_java.jsonl");
  if (!upstream || !converted) {
    GTEST_SKIP() << "skipped: benchmarks/mceval is not in " << SharedFolder();
  }
  const std::vector<Record> ours = ReadBenchmark(*upstream);
  const std::vector<Record> theirs = ReadBenchmark(*converted);
  ASSERT_EQ(ours.size(), theirs.size());
  for (std::size_t i = 0; i < ours.size(); ++i) {
    EXPECT_EQ(ours[i].name, theirs[i].name);
    EXPECT_EQ(ours[i].prompt, theirs[i].prompt) << ours[i].name;
    EXPECT_EQ(ours[i].stop_tokens, theirs[i].stop_tokens);
    // Its upstream tests call a helper that only the upstream solution has; the study's do not.
    EXPECT_EQ(ours[i].tests == theirs[i].tests, ours[i].name != "Java-53") << ours[i].name;
  }
}

}  // namespace
}  // namespace bitsweep::benchmark
