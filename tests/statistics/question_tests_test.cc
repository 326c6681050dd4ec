// TestQuestion on small cells that can be worked by hand: pairs, directions, families, seeds, what
// is not finished; and the texts.
#include "coordinator/study/question_tests.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include <gtest/gtest.h>

#include "tests/statistics/outcome_cells.h"

namespace bitsweep {
namespace {

constexpr const char* kSweep = R"(name: hand
models:
  - {id: sparrow-1m, family: Sparrow, params: 1.3M}
precisions:
  4-bit: {codebooks: 4, codebook_bits: 8, group_size: 8}
  2-bit: {codebooks: 2, codebook_bits: 8, group_size: 8}
calibrations:
  code: {path: code.jsonl, sequences: 64, sequence_length: 512}
  random: {path: random.jsonl, sequences: 64, sequence_length: 512}
  mixed: {path: mixed.jsonl, sequences: 64, sequence_length: 512}
finetunes:
  kl: {objective: teacher-kl}
benchmarks:
  demo:
    languages: {python: python.jsonl}
    sampling: {samples: 4}
SEEDS
questions:
  rq1: {models: [sparrow-1m], precisions: [fp16, 4-bit, 2-bit], calibrations: [code]}
  tune: {kind: rq1-finetune, models: [sparrow-1m], precisions: [fp16, 2-bit], calibrations: [code], finetunes: [none, kl]}
  rq2: {models: [sparrow-1m], precisions: [fp16, 2-bit], calibrations: [code, random, mixed], reference: {calibration: random}}
  rq3: {models: [sparrow-1m], precisions: [fp16, 2-bit], calibrations: [mixed], finetunes: [none, kl]}
)";

SweepSpec Sweep(const std::string& seeds = "seeds: [0]") {
  std::string text = kSweep;
  text.replace(text.find("SEEDS"), 5, seeds);
  auto spec = ParseSweep(text, "hand.yaml");
  EXPECT_TRUE(spec.ok()) << spec.status();
  return *std::move(spec);
}

CellOutcomes Cell(const std::string& precision,
                  const std::string& calibration,
                  const std::string& finetuned,
                  const std::string& bits,
                  std::int64_t seed = 0) {
  return {"sparrow-1m",
          "Sparrow",
          "1.3M",
          precision,
          calibration,
          finetuned,
          "demo",
          "python",
          seed,
          Problems(bits)};
}

TestTable TableOf(const SweepSpec& spec,
                  const std::string& question,
                  const std::vector<CellOutcomes>& outcomes) {
  auto table = TestQuestion(spec, question, "", outcomes, {});
  EXPECT_TRUE(table.ok()) << table.status();
  return *std::move(table);
}

TEST(QuestionTestsTest, Rq1CountsLossesOfTheQuantizedVariantFirst) {
  const TestTable table = TableOf(Sweep(),
                                  "rq1",
                                  {Cell("fp16", "none", "none", "1111 1110 1100"),
                                   Cell("4-bit", "code", "none", "1111 1110 1101"),
                                   Cell("2-bit", "code", "none", "0000 0110 0001")});
  ASSERT_EQ(table.rows.size(), 2U);
  const TestRow& four = table.rows[0];
  EXPECT_EQ(four.baseline, "fp16");
  EXPECT_EQ(four.treatment, "4-bit-code");
  EXPECT_EQ(four.b, 0);
  EXPECT_EQ(four.c, 1);
  EXPECT_EQ(*four.odds_ratio, 0);
  EXPECT_NEAR(*four.difference, 1.0 / 12, 1e-15);
  const TestRow& two = table.rows[1];
  EXPECT_EQ(two.b, 7);
  EXPECT_EQ(two.c, 1);
  EXPECT_EQ(*two.odds_ratio, 7);
  EXPECT_DOUBLE_EQ(*two.p_value, 2.0 * 9 / 256);
  EXPECT_DOUBLE_EQ(*two.p_adjusted, 4.0 * 9 / 256);  // The lesser of two, times 2 / 1.
  EXPECT_DOUBLE_EQ(*four.p_adjusted, 1);
  EXPECT_NEAR(*two.difference, -0.5, 1e-15);
  EXPECT_DOUBLE_EQ(*two.p_problem, 0.25);  // -4, -1, -1 of 4: two of eight flips.
  EXPECT_EQ(two.problems, 3);
  EXPECT_EQ(two.samples, 4);
  EXPECT_EQ(two.seeds, 1);
}

TEST(QuestionTestsTest, Rq2ComparesEveryTwoCalibrationsReferenceFirst) {
  const TestTable table = TableOf(Sweep(),
                                  "rq2",
                                  {Cell("2-bit", "code", "none", "1111 1111"),
                                   Cell("2-bit", "random", "none", "0000 0000"),
                                   Cell("2-bit", "mixed", "none", "1110 0000")});
  ASSERT_EQ(table.rows.size(), 3U);
  const auto pair = [&](std::size_t i) {
    return table.rows[i].baseline + " " + table.rows[i].treatment;
  };
  EXPECT_EQ(pair(0), "2-bit-random 2-bit-code");
  EXPECT_EQ(pair(1), "2-bit-random 2-bit-mixed");
  EXPECT_EQ(pair(2), "2-bit-code 2-bit-mixed");
  // b: fails under the first and passes under the second.
  EXPECT_EQ(table.rows[0].b, 8);
  EXPECT_EQ(table.rows[0].c, 0);
  EXPECT_TRUE(std::isinf(*table.rows[0].odds_ratio));
  EXPECT_EQ(table.rows[2].b, 0);
  EXPECT_EQ(table.rows[2].c, 5);
  // p 2/256, 2/8, 2/32 in one family: 3 p / rank.
  EXPECT_DOUBLE_EQ(*table.rows[0].p_adjusted, 3 * 2.0 / 256);
  EXPECT_DOUBLE_EQ(*table.rows[1].p_adjusted, 2.0 / 8);
  EXPECT_DOUBLE_EQ(*table.rows[2].p_adjusted, 3 * 2.0 / 32 / 2);
}

TEST(QuestionTestsTest, FineTuningIsComparedWithBeforeAndNotCorrected) {
  const TestTable table = TableOf(Sweep(),
                                  "tune",
                                  {Cell("fp16", "none", "none", "1111"),
                                   Cell("2-bit", "code", "none", "1000"),
                                   Cell("2-bit", "code", "kl", "0111")});
  ASSERT_EQ(table.rows.size(), 1U);
  EXPECT_EQ(table.rows[0].baseline, "2-bit-code");
  EXPECT_EQ(table.rows[0].treatment, "2-bit-code-finetuned");
  EXPECT_EQ(table.rows[0].b, 3);
  EXPECT_EQ(table.rows[0].c, 1);
  EXPECT_FALSE(table.rows[0].p_adjusted.has_value());
  EXPECT_FALSE(table.rows[0].difference_low.has_value()) << "one problem has no interval";
}

TEST(QuestionTestsTest, Rq3CorrectsItsTwoTests) {
  const TestTable table = TableOf(Sweep(),
                                  "rq3",
                                  {Cell("fp16", "none", "none", "1111 1111"),
                                   Cell("2-bit", "mixed", "none", "0000 0000"),
                                   Cell("2-bit", "mixed", "kl", "1111 0000")});
  ASSERT_EQ(table.rows.size(), 2U);
  EXPECT_EQ(table.rows[1].treatment, "2-bit-mixed-finetuned");
  EXPECT_DOUBLE_EQ(*table.rows[0].p_adjusted, 2 * 2.0 / 256);
  EXPECT_DOUBLE_EQ(*table.rows[1].p_adjusted, 2.0 / 16);
}

TEST(QuestionTestsTest, AnUnspecifiedCalibrationIsNotPartOfALabel) {
  SweepSpec spec = Sweep();
  spec.questions[0].calibrations = {"unspecified"};
  const TestTable table =
      TableOf(spec,
              "rq1",
              {Cell("fp16", "none", "none", "11"), Cell("2-bit", "unspecified", "none", "10")});
  EXPECT_EQ(table.rows[1].treatment, "2-bit");
  EXPECT_EQ(table.rows[1].b, 1);
}

TEST(QuestionTestsTest, SeedsArePairedWithinASeed) {
  const SweepSpec spec = Sweep("seeds: [0, 1]");
  // Across seeds the samples would pair perfectly; within a seed none does.
  const TestTable table = TableOf(spec,
                                  "tune",
                                  {Cell("2-bit", "code", "none", "1111 0011", 0),
                                   Cell("2-bit", "code", "none", "0000 0011", 1),
                                   Cell("2-bit", "code", "kl", "0000 0011", 0),
                                   Cell("2-bit", "code", "kl", "1111 1111", 1)});
  const TestRow& row = table.rows[0];
  EXPECT_EQ(row.seeds, 2);
  EXPECT_EQ(row.b, 6);
  EXPECT_EQ(row.c, 4);
  EXPECT_EQ(row.problems, 2) << "problems are resampled, not seeds";
  EXPECT_EQ(row.samples, 4);
  EXPECT_NEAR(*row.difference, (0.0 + 0.25) / 2, 1e-15);
  ASSERT_EQ(table.agreements.size(), 2U);
  // Not fine-tuned: p0 solved by one seed alone, p1 by neither (half is not more than half).
  EXPECT_EQ(table.agreements[0].variant, "2-bit-code");
  EXPECT_DOUBLE_EQ(table.agreements[0].agreement, 0.5);
  EXPECT_NEAR(table.agreements[0].pass_at_1, 0.5, 1e-15);
  EXPECT_NEAR(table.agreements[0].spread, 0.5 / std::sqrt(2), 1e-12);
  // One of 4 verdicts is "solved": chance 10/16, observed 1/2, kappa (1/2 - 5/8) / (3/8).
  EXPECT_NEAR(*table.agreements[0].kappa, -1.0 / 3, 1e-12);
  EXPECT_DOUBLE_EQ(table.agreements[1].agreement, 0);
}

TEST(QuestionTestsTest, SaysWhatIsNotFinished) {
  const SweepSpec spec = Sweep("seeds: [0, 1]");
  const TestTable table = TableOf(spec,
                                  "rq1",
                                  {Cell("fp16", "none", "none", "1111 1100", 0),
                                   Cell("fp16", "none", "none", "1111 1100", 1),
                                   Cell("4-bit", "code", "none", "0000 0000", 1)});
  EXPECT_EQ(table.rows[0].state, kTested);
  EXPECT_EQ(table.rows[0].seeds, 1);
  EXPECT_EQ(table.rows[0].note, "no outcomes of 4-bit-code at seed 0");
  EXPECT_DOUBLE_EQ(*table.rows[0].p_adjusted, *table.rows[0].p_value);
  EXPECT_EQ(table.rows[1].state, kNotFinished);
  EXPECT_FALSE(table.rows[1].p_value.has_value());
  const std::string text = RenderTests(table, StatsFormat::kText);
  EXPECT_NE(text.find("1 of 2 pairs were not tested"), std::string::npos) << text;
  const auto json = nlohmann::json::parse(RenderTests(table, StatsFormat::kJson));
  EXPECT_TRUE(json["rows"][1]["b"].is_null());
  EXPECT_TRUE(json["rows"][1]["p_problem"].is_null());
}

TEST(QuestionTestsTest, RefusesToPairWhatDoesNotMatch) {
  const auto note = [](const std::string& bits) {
    const TestTable table =
        TableOf(Sweep(),
                "rq1",
                {Cell("fp16", "none", "none", "1111 1111"), Cell("4-bit", "code", "none", bits)});
    EXPECT_EQ(table.rows[0].state, kNotPaired);
    return table.rows[0].note;
  };
  EXPECT_EQ(note("1111 111"),
            "problem 'p1' of seed 0 has 4 samples in the baseline and 3 in the treatment");
  EXPECT_EQ(note("1111"), "problem 'p1' of seed 0 is missing in the treatment");
  EXPECT_EQ(note("1111 1111 1111"), "problem 'p2' of seed 0 is missing in the baseline");
}

TEST(QuestionTestsTest, NamesTheNearestOfAWrongName) {
  const SweepSpec spec = Sweep();
  EXPECT_NE(std::string(TestQuestion(spec, "rq9", "", {}, {}).status().message()).find("rq1"),
            std::string::npos);
  EXPECT_NE(
      std::string(TestQuestion(spec, "rq1", "demmo", {}, {}).status().message()).find("'demo'"),
      std::string::npos);
  TestOptions options;
  options.confidence = 1;
  EXPECT_FALSE(TestQuestion(spec, "rq1", "", {}, options).ok());
  const CellOutcomes cell = Cell("fp16", "none", "none", "1");
  EXPECT_FALSE(TestQuestion(spec, "rq1", "", {cell, cell}, {}).ok()) << "twice the same cell";
  EXPECT_FALSE(ParseStatsFormat("jsn").ok());
  EXPECT_EQ(*ParseStatsFormat("csv"), StatsFormat::kCsv);
}

TEST(QuestionTestsTest, ExcludedPairsAreNoRows) {
  SweepSpec spec = Sweep();
  spec.excludes.push_back({});
  spec.excludes.back().precisions = {"4-bit"};
  const TestTable table = TableOf(spec, "rq1", {Cell("fp16", "none", "none", "11")});
  ASSERT_EQ(table.rows.size(), 1U);
  EXPECT_EQ(table.rows[0].treatment, "2-bit-code");
}

TEST(RenderTestsTest, PutsBothVerdictsSideBySide) {
  // 30 samples of one problem are lost: overwhelming by sample, one problem of five by problem.
  const std::string rest = " 1010 1010 1010 1010";
  const TestTable table = TableOf(Sweep(),
                                  "rq1",
                                  {Cell("fp16", "none", "none", std::string(30, '1') + rest),
                                   Cell("4-bit", "code", "none", std::string(30, '0') + rest),
                                   Cell("2-bit", "code", "none", std::string(30, '1') + rest)});
  const std::string text = RenderTests(table, StatsFormat::kText);
  EXPECT_NE(text.find("  worse"), std::string::npos) << text;
  EXPECT_NE(text.find("-20.00"), std::string::npos) << text;
  EXPECT_NE(
      text.find("The two verdicts differ in: sparrow-1m python fp16 -> 4-bit-code (worse per"),
      std::string::npos)
      << text;
  EXPECT_EQ(text.find("-0.00"), std::string::npos) << text;
  const std::string markdown = RenderTests(table, StatsFormat::kMarkdown);
  EXPECT_EQ(markdown.rfind("## rq1 on demo: tests of pairs\n\n| Model", 0), 0U) << markdown;
}

TEST(RenderTestsTest, JsonHasTheContractsMembers) {
  const TestTable table = TableOf(Sweep(),
                                  "rq1",
                                  {Cell("fp16", "none", "none", "1111 1111"),
                                   Cell("4-bit", "code", "none", "0000 1111"),
                                   Cell("2-bit", "code", "none", "1111 1111")});
  const auto json = nlohmann::json::parse(RenderTests(table, StatsFormat::kJson));
  ASSERT_EQ(json["rows"].size(), 2U);
  std::vector<std::string> members;
  for (const auto& [name, value] : json["rows"][0].items()) {
    members.push_back(name);
  }
  EXPECT_EQ(members,
            (std::vector<std::string>{"b",
                                      "baseline",
                                      "benchmark",
                                      "c",
                                      "difference",
                                      "difference_high",
                                      "difference_low",
                                      "language",
                                      "model",
                                      "odds_ratio",
                                      "p_adjusted",
                                      "p_problem",
                                      "p_value",
                                      "problems",
                                      "samples",
                                      "treatment"}));
  EXPECT_EQ(json["rows"][0]["odds_ratio"], "inf");
  EXPECT_EQ(json["rows"][0]["b"], 4);
  EXPECT_TRUE(json["rows"][1]["odds_ratio"].is_null()) << "0 / 0 is no figure";
  EXPECT_EQ(json["rows"][1]["p_value"], 1);
}

TEST(RenderTestsTest, CsvHasAsManyCellsAsItsHead) {
  const TestTable table = TableOf(
      Sweep("seeds: [0, 1]"),
      "rq1",
      {Cell("fp16", "none", "none", "1111 1111"), Cell("4-bit", "code", "none", "0000 1111")});
  const std::string csv = RenderTests(table, StatsFormat::kCsv);
  std::vector<std::ptrdiff_t> commas;
  for (std::size_t at = 0; at < csv.size(); at = csv.find('\n', at) + 1) {
    const std::string line = csv.substr(at, csv.find('\n', at) - at);
    if (line.find('"') == std::string::npos) {
      commas.push_back(std::count(line.begin(), line.end(), ','));
    }
  }
  ASSERT_GE(commas.size(), 2U) << csv;
  for (const std::ptrdiff_t count : commas) {
    EXPECT_EQ(count, commas.front()) << csv;
  }
  EXPECT_NE(csv.find(",inf,"), std::string::npos) << csv;
}

}  // namespace
}  // namespace bitsweep
