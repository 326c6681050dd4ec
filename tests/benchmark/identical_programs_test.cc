// Identical programs are graded once, whichever completions they come from.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/benchmark/graded.h"

namespace bitsweep::grade {
namespace {

using benchmark::Record;

TEST_F(GradedTest, IdenticalProgramsRunOnceAndEverySampleGetsTheVerdict) {
  const std::string demo = "../deploy/demo/benchmark/python.jsonl";
  const std::vector<Record> records = benchmark::ReadBenchmark(demo);
  for (int sample = 0; sample < 20; ++sample) {
    Add(records[0].name, sample, *records[0].canonical_solution);
    // Different texts, one program after the cut.
    Add(records[1].name,
        sample,
        *records[1].canonical_solution + "\ndef more(): return " + std::to_string(sample));
    Add(records[2].name, sample, "    return " + std::to_string(sample % 2 + 98765) + "\n");
  }
  const auto verdicts = Grade(demo, "study");
  ASSERT_EQ(verdicts.size(), 20U);
  for (const auto& [sample, of_problem] : verdicts) {
    EXPECT_EQ(of_problem.at(records[0].name), "pass");
    EXPECT_EQ(of_problem.at(records[1].name), "pass");
    EXPECT_EQ(of_problem.at(records[2].name), "wrong");
  }
  const nlohmann::json summary = Lines(folder_ / "events.jsonl").back()["summary"];
  EXPECT_EQ(summary["total"], 60);
  EXPECT_EQ(summary["programs"], 4);
  EXPECT_EQ(summary["copied_verdicts"], 56);
  EXPECT_EQ(summary["passed"], 40);
}

}  // namespace
}  // namespace bitsweep::grade
