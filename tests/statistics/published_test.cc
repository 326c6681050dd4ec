// The published figures: read whole, checked against themselves, and beside a sweep of ours.
#include "coordinator/study/published.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include <gtest/gtest.h>

#include "coordinator/study/cells.h"
#include "coordinator/study/compare.h"
#include "coordinator/study/published_labels.h"
#include "tests/study/sweep_files.h"

namespace bitsweep {
namespace {

const PublishedStudy& Study() {
  const auto study = FindPublished("arxiv:2503.07103");
  EXPECT_TRUE(study.ok()) << study.status();
  return **study;
}

TEST(PublishedTest, HasEveryRowOfTheStudy) {
  EXPECT_EQ(Study().rows.size(), 128U);
  EXPECT_EQ(Study().tests.size(), 16U);
  const auto missing = FindPublished("arxiv:2503.07102");
  ASSERT_FALSE(missing.ok());
  EXPECT_NE(std::string(missing.status().message()).find("arxiv:2503.07103"), std::string::npos);
}

TEST(PublishedTest, ReadsLabelsAsASweepWritesThem) {
  const PublishedRow& row = Study().rows[24];  // rq1-finetune, 2 bits, tuned.
  EXPECT_EQ(row.question, "rq1-finetune");
  EXPECT_EQ(row.precision, "2-bit");
  EXPECT_EQ(row.calibration, "random");
  EXPECT_TRUE(row.finetuned);
  EXPECT_EQ(row.figures[0].pass_at_1, 19.9);
  EXPECT_EQ(row.figures[1].pass_at_1, 19.0);
  EXPECT_EQ(row.figures[1].arrow_up, true);
  EXPECT_EQ(Study().rows[0].precision, kFp16);
  EXPECT_EQ(Study().rows[0].calibration, kNone);
  EXPECT_FALSE(Study().rows[0].figures[0].arrow_up.has_value());
}

TEST(PublishedTest, NamesTheLineOfAMistake) {
  const auto line = [](const char* csv) {
    return std::string(ParsePublishedTests(csv).status().message());
  };
  constexpr const char* kHead = "model,lng,quant_precision,p.value,OR\n";
  EXPECT_EQ(line((std::string("# from\n") + kHead + "m,py,2bit,x,1\n").c_str()),
            "line 3, column 'p.value': 'x' is not a number");
  EXPECT_EQ(line((std::string(kHead) + "m,py\n").c_str()), "line 2: 2 cells; the first line has 5");
  EXPECT_EQ(line("model\n"), "line 1: no column 'lng'");
}

TEST(PublishedTest, FortySevenOfFortyEightDecsRecompute) {
  const PublishedCheck check = CheckPublished(Study().rows);
  EXPECT_EQ(check.decs, 48);
  EXPECT_EQ(check.decs_agree, 47);
  std::vector<PublishedFinding> decs;
  for (const PublishedFinding& finding : check.findings) {
    if (finding.kind == PublishedFinding::Kind::kDec) {
      decs.push_back(finding);
    }
  }
  ASSERT_EQ(decs.size(), 1U);
  EXPECT_EQ(decs[0].place, "rq3, mceval, CodeLlama 7B 2-bit mixed, fine-tuned, python");
  EXPECT_NE(decs[0].text.find("sign error"), std::string::npos) << decs[0].text;
}

TEST(PublishedTest, MarksAgreeButForTwoTies) {
  const PublishedCheck check = CheckPublished(Study().rows);
  EXPECT_EQ(check.arrows, 80);  // 8 tuned and 32 calibrated rows in two languages.
  EXPECT_EQ(check.arrows_agree, 78);
  EXPECT_EQ(check.ties, 2);
  std::vector<std::string> ties;
  for (const PublishedFinding& finding : check.findings) {
    if (finding.kind == PublishedFinding::Kind::kTie) {
      ties.push_back(finding.place);
    }
  }
  EXPECT_EQ(ties,
            (std::vector<std::string>{
                "rq1-finetune, multipl-e, DeepSeek-Coder 7B 3-bit random, fine-tuned, java",
                "rq2, multipl-e, CodeLlama 7B 8-bit mixed, python"}));
  EXPECT_EQ(check.findings.size(), 3U) << "no cell is printed differently in two tables";
}

TEST(PublishedTest, FindsWhatIsWrongElsewhere) {
  std::vector<PublishedRow> rows = Study().rows;
  for (PublishedRow& row : rows) {
    if (row.question == "rq1" && row.precision == "4-bit") {
      row.figures[0].pass_at_1 += 3;  // RQ2 prints the same cells.
    }
    if (row.question == "rq2" && row.calibration == "code" && row.precision == "2-bit") {
      row.figures[1].arrow_up = false;
    }
  }
  const PublishedCheck check = CheckPublished(rows);
  const auto count = [&](PublishedFinding::Kind kind) {
    return std::count_if(check.findings.begin(),
                         check.findings.end(),
                         [&](const PublishedFinding& finding) { return finding.kind == kind; });
  };
  EXPECT_EQ(count(PublishedFinding::Kind::kDisagrees), 4);
  EXPECT_EQ(count(PublishedFinding::Kind::kArrow), 4);
}

TEST(LabelsTest, AreNormalised) {
  const auto model = [](const char* id, const char* family, const char* params) {
    ModelSpec spec;
    spec.id = id;
    spec.family = family;
    spec.params = params;
    const auto found = PublishedModelOf(spec, Study().rows);
    return found ? found->family + " " + found->params : "none";
  };
  EXPECT_EQ(model("CodeLlama-7b-hf", "CodeLlama", "7B"), "CodeLlama 7B");
  EXPECT_EQ(model("ds", "deepseek coder", "6.7B"), "DeepSeek-Coder 7B");
  EXPECT_EQ(model("ds", "DeepSeek-Coder", "1.3b"), "DeepSeek-Coder 1B");
  EXPECT_EQ(model("deepseekcoder-7b", "deepseekcoder-7b", ""), "DeepSeek-Coder 7B");
  EXPECT_EQ(model("codellama-34b-hf", "codellama-34b-hf", ""), "CodeLlama 34B");
  EXPECT_EQ(model("CodeLlama-7b-Instruct-hf", "CodeLlama", "7B"), "none");
  EXPECT_EQ(model("sparrow-1m", "Sparrow", "1.3M"), "none");
  EXPECT_EQ(model("CodeLlama-70b-hf", "CodeLlama", "70B"), "none");
  EXPECT_EQ(PublishedPrecisionOf("16bit"), "fp16");
  EXPECT_EQ(PublishedPrecisionOf("BF16"), "fp16");
  EXPECT_EQ(PublishedPrecisionOf("2bit"), "2-bit");
  EXPECT_EQ(PublishedPrecisionOf("tiny"), "tiny");
}

/// Every cell of the study's grid with the figure `percent`.
std::vector<CellResult> Results(const SweepSpec& spec, double percent) {
  std::vector<CellResult> results;
  for (const GridCell& cell : ExpandGrid(spec)) {
    const VariantCoordinates& variant = cell.at.variant;
    CellResult result;
    result.model = variant.model;
    result.precision = variant.precision;
    result.calibration = variant.calibration;
    result.finetuned = variant.finetuned;
    result.seed = variant.seed;
    result.benchmark = cell.at.benchmark;
    result.language = cell.at.language;
    result.state = "succeeded";
    result.problems = 161;
    result.samples = 20;
    result.pass_at_1 = percent / 100;
    result.size_bytes = 26'030'000'000;
    results.push_back(result);
  }
  return results;
}

SweepSpec Spec(const char* text) {
  auto spec = ParseSweep(text, "sweep.yaml");
  EXPECT_TRUE(spec.ok()) << spec.status();
  return *std::move(spec);
}

TEST(CompareTest, MatchesEveryCellOfTheStudysGrid) {
  const SweepSpec spec = Spec(kStudyGrid);
  std::vector<CellResult> results = Results(spec, 30);
  const auto comparison = CompareWithPublished(spec, results, "arxiv:2503.07103");
  ASSERT_TRUE(comparison.ok()) << comparison.status();
  EXPECT_EQ(comparison->rows.size(), 88U);
  for (const ComparisonRow& row : comparison->rows) {
    for (const ComparedFigure& figure : row.figures) {
      EXPECT_EQ(figure.state, "succeeded") << row.family << row.params << row.precision;
      EXPECT_NEAR(*figure.difference, 30 - figure.published, 1e-9);
    }
  }
  EXPECT_NE(comparison->notes[0].find("176 of 176"), std::string::npos) << comparison->notes[0];
  EXPECT_EQ(comparison->findings.size(), 3U);
}

TEST(CompareTest, ComparesSizesInThePrintedUnit) {
  const SweepSpec spec = Spec(kStudyGrid);
  const auto comparison = CompareWithPublished(spec, Results(spec, 30), "arxiv:2503.07103");
  const auto row = [&](const char* params, const char* precision) {
    return *std::find_if(
        comparison->rows.begin(), comparison->rows.end(), [&](const ComparisonRow& candidate) {
          return candidate.params == params && candidate.precision == precision;
        });
  };
  EXPECT_EQ(row("13B", "fp16").size_unit, "GiB");
  EXPECT_NEAR(*row("13B", "fp16").size, 24.24, 0.005);  // Printed 24.25.
  EXPECT_EQ(row("13B", "2-bit").size_unit, "GB");
  EXPECT_NEAR(*row("13B", "2-bit").size, 26.03, 0.005);
  EXPECT_EQ(row("7B", "fp16").size_unit, "GB");
  EXPECT_EQ(row("1B", "2-bit").size_unit, "GiB");
}

TEST(CompareTest, SaysWhatIsMissing) {
  const SweepSpec spec = Spec(kStudyGrid);
  std::vector<CellResult> results = Results(spec, 30);
  results[0].state = "running";
  results[0].stages_done = 1;
  results[0].stages_total = 2;
  results.resize(2);
  const auto comparison = CompareWithPublished(spec, results, "arxiv:2503.07103");
  EXPECT_EQ(comparison->rows[0].figures[0].state, "running 1/2");
  EXPECT_FALSE(comparison->rows[0].figures[0].ours.has_value());
  EXPECT_EQ(comparison->rows[0].figures[1].state, "succeeded");
  EXPECT_EQ(comparison->rows[1].figures[0].state, "pending");

  const auto small = CompareWithPublished(Spec(kSmallSweep), {}, "arxiv:2503.07103");
  ASSERT_TRUE(small.ok());
  EXPECT_EQ(small->rows[0].figures[0].state, kNotInSweep);
  const std::string csv = RenderComparison(*small, CompareFormat::kCsv);
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 177);
  EXPECT_FALSE(CompareWithPublished(spec, {}, "arxiv:1").ok());
}

TEST(CompareTest, TakesAnImportsUnspecifiedCalibrationForRandom) {
  SweepSpec spec = Spec(kStudyGrid);
  spec.questions.resize(1);
  spec.questions[0].calibrations = {"unspecified"};
  const auto comparison = CompareWithPublished(spec, Results(spec, 30), "arxiv:2503.07103");
  int compared = 0;
  for (const ComparisonRow& row : comparison->rows) {
    compared += row.figures[0].difference ? 1 : 0;
    EXPECT_TRUE(!row.figures[0].difference || row.calibration != "mixed");
  }
  EXPECT_EQ(compared, 20);
  const bool said =
      std::any_of(comparison->notes.begin(), comparison->notes.end(), [](const std::string& note) {
        return note.find("'unspecified'") != std::string::npos;
      });
  EXPECT_TRUE(said);
}

TEST(CompareTest, RendersEveryFormat) {
  const SweepSpec spec = Spec(kStudyGrid);
  const auto comparison = CompareWithPublished(spec, Results(spec, 30), "arxiv:2503.07103");
  const std::string markdown = RenderComparison(*comparison, CompareFormat::kMarkdown);
  EXPECT_NE(markdown.find("GiB is 2^30"), std::string::npos);
  EXPECT_NE(markdown.find("a sign error in print."), std::string::npos);
  EXPECT_NE(markdown.find("| multipl-e | CodeLlama 7B       | fp16"), std::string::npos)
      << markdown.substr(0, 1500);
  const auto json = nlohmann::json::parse(RenderComparison(*comparison, CompareFormat::kJson));
  EXPECT_EQ(json["rows"].size(), 176U);
  EXPECT_EQ(json["rows"][0]["published_percent"], 29.8);
  EXPECT_EQ(json["rows"][0]["model"], "CodeLlama-7b-hf");
  EXPECT_FALSE(ParseCompareFormat("html").ok());
}

}  // namespace
}  // namespace bitsweep
