// The benchmarks of the study with the solutions that are known to be right, through
// bitsweep-grade: what each policy keeps of them, and that wrong ones fail under every policy. The
// data lies beside the checkout (tests/README.md), but for the last case.
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/benchmark/graded.h"
#include "tests/benchmark/shared_file.h"
#include "worker/benchmark/record.h"

namespace bitsweep::grade {
namespace {

using benchmark::Record;
using benchmark::SharedFile;

// The study's cut takes away the helper methods of these right solutions.
const std::set<std::string> kNeedHelpers = {"Java-4",
                                            "Java-6",
                                            "Java-17",
                                            "Java-18",
                                            "Java-19",
                                            "Java-31",
                                            "Java-36",
                                            "Java-39",
                                            "Java-42",
                                            "Java-45",
                                            "Java-46",
                                            "Java-50"};

/// One completion to grade; sample 0 is the solution, the others are its mutants.
enum Sample : int {
  kSolution,
  kOffByOne,
  kEmptyBody,
  kEndless,
};

std::string Replaced(const std::string& text, const char* pattern, const char* by) {
  return std::regex_replace(text, std::regex(pattern), by);
}

class McEvalTest : public GradedTest {
 protected:
  void SetUp() override {
    GradedTest::SetUp();
    const auto solved = SharedFile("benchmarks/mceval/upstream-java-with-solutions.jsonl");
    const auto converted = SharedFile("benchmarks/mceval/mceval_java.jsonl");
    if (!solved || !converted) {
      GTEST_SKIP() << "skipped: benchmarks/mceval is not in " << benchmark::SharedFolder();
    }
    if (!java_) {
      GTEST_SKIP() << "skipped: there is no JDK";
    }
    upstream_ = *solved;
    converted_ = *converted;
    records_ = benchmark::ReadBenchmark(upstream_);
    ASSERT_EQ(records_.size(), 53U);
  }

  /// Mutants of the first problems that return a number.
  void AddMutants() {
    int count = 0;
    for (const Record& record : records_) {
      const bool number = std::regex_search(
          record.prompt, std::regex(R"(static (int|long|double) \w+\([^)]*\) *$)"));
      if (!number || ++count > 3) {
        continue;
      }
      Add(record.name,
          kOffByOne,
          Replaced(*record.canonical_solution, R"(return ([^;]*);)", "return ($1) + 1;"));
      Add(record.name, kEmptyBody, "{ }\n");
      Add(record.name, kEndless, "{ while (true) { } }\n");
    }
    ASSERT_GE(count, 3);
  }

  void ExpectMutantsFail(std::map<int, std::map<std::string, std::string>>& verdicts) {
    for (const Sample mutant : {kOffByOne, kEmptyBody, kEndless}) {
      ASSERT_EQ(verdicts[mutant].size(), 3U);
      for (const auto& [name, verdict] : verdicts[mutant]) {
        EXPECT_EQ(verdict,
                  mutant == kOffByOne    ? "wrong"
                  : mutant == kEmptyBody ? "compile_error"
                                         : "timeout")
            << name;
      }
    }
  }

  std::string upstream_, converted_;
  std::vector<Record> records_;
};

TEST_F(McEvalTest, WithoutACutEverySolutionPasses) {
  for (const Record& record : records_) {
    Add(record.name, kSolution, *record.canonical_solution);
  }
  AddMutants();
  auto verdicts = Grade(upstream_, "none");
  EXPECT_EQ(verdicts[kSolution].size(), 53U);
  EXPECT_EQ(Failed(verdicts[kSolution]), std::set<std::string>{});
  ExpectMutantsFail(verdicts);
}

TEST_F(McEvalTest, TheStudysCutFailsExactlyTheSolutionsWithHelpers) {
  for (const Record& record : records_) {
    Add(record.name, kSolution, *record.canonical_solution);
  }
  AddMutants();
  auto verdicts = Grade(converted_, "study");
  EXPECT_EQ(verdicts[kSolution].size(), 53U);
  EXPECT_EQ(Failed(verdicts[kSolution]), kNeedHelpers);
  ExpectMutantsFail(verdicts);
}

TEST_F(McEvalTest, WithTheirHelpersKeptTheyPass) {
  for (const Record& record : records_) {
    if (kNeedHelpers.count(record.name) != 0) {
      // What a model says after the class is closed is cut, too.
      Add(record.name, kSolution, *record.canonical_solution + "\n}\n\nAnd that is why it } works");
    }
  }
  AddMutants();
  auto verdicts = Grade(converted_, "keep_helpers");
  EXPECT_EQ(verdicts[kSolution].size(), kNeedHelpers.size());
  EXPECT_EQ(Failed(verdicts[kSolution]), std::set<std::string>{});
  ExpectMutantsFail(verdicts);
}

class HumanEvalTest : public GradedTest {
 protected:
  void SetUp() override {
    GradedTest::SetUp();
    const auto records = SharedFile("benchmarks/multipl-e/humaneval-py-reworded.jsonl");
    const auto solved = SharedFile("benchmarks/multipl-e/humaneval-original-with-solutions.jsonl");
    if (!records || !solved) {
      GTEST_SKIP() << "skipped: benchmarks/multipl-e is not in " << benchmark::SharedFolder();
    }
    benchmark_ = *records;
    // Problem Python-N of the original file is HumanEval_N_* of the study's.
    std::map<std::string, Record> originals;
    for (const Record& original : benchmark::ReadBenchmark(*solved)) {
      originals.emplace("HumanEval_" + original.name.substr(original.name.find('-') + 1), original);
    }
    for (Record& record : benchmark::ReadBenchmark(benchmark_)) {
      const std::string number = record.name.substr(0, record.name.find('_', 10));
      record.canonical_solution = originals.at(number).canonical_solution;
      returns_int_[record.name] = originals.at(number).prompt.find("-> int:") != std::string::npos;
      records_.push_back(record);
    }
    ASSERT_EQ(records_.size(), 161U);
  }

  void AddMutants() {
    int count = 0;
    for (const Record& record : records_) {
      if (!returns_int_[record.name] || ++count > 4) {
        continue;
      }
      Add(record.name,
          kOffByOne,
          Replaced(*record.canonical_solution, R"(return ([^\n]*))", "return ($1) + 1"));
      Add(record.name, kEmptyBody, "    pass\n");
      Add(record.name, kEndless, "    while True:\n        pass\n");
    }
    ASSERT_GE(count, 4);
  }

  void ExpectMutantsFail(std::map<int, std::map<std::string, std::string>>& verdicts) {
    for (const Sample mutant : {kOffByOne, kEmptyBody, kEndless}) {
      ASSERT_EQ(verdicts[mutant].size(), 4U);
      for (const auto& [name, verdict] : verdicts[mutant]) {
        EXPECT_EQ(verdict, mutant == kEndless ? "timeout" : "wrong") << name;
      }
    }
  }

  std::string benchmark_;
  std::vector<Record> records_;
  std::map<std::string, bool> returns_int_;
};

TEST_F(HumanEvalTest, AllButThreeSolutionsPass) {
  for (const Record& record : records_) {
    Add(record.name, kSolution, *record.canonical_solution);
  }
  AddMutants();
  auto verdicts = Grade(benchmark_, "none");
  EXPECT_EQ(verdicts[kSolution].size(), 161U);
  // Two need what stands before the function in the original prompt, one has tests with floats.
  EXPECT_EQ(Failed(verdicts[kSolution]),
            (std::set<std::string>{"HumanEval_10_make_palindrome",
                                   "HumanEval_115_max_fill",
                                   "HumanEval_151_double_the_difference"}));
  ExpectMutantsFail(verdicts);
}

TEST_F(HumanEvalTest, MutantsFailUnderEveryCut) {
  for (const char* policy : {"study", "keep_helpers"}) {
    AddMutants();
    auto verdicts = Grade(benchmark_, policy);
    ExpectMutantsFail(verdicts);
  }
}

}  // namespace
}  // namespace bitsweep::grade
