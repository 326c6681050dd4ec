#include "coordinator/outcomes/imported_sweep.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "coordinator/study/cells.h"

namespace bitsweep {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// One problem with one sample of every label, in Python.
OutcomesFile FileOf(const std::vector<std::pair<std::string, std::string>>& model_and_label) {
  std::string text = "model,quantization,language,problem,pass\n";
  for (const auto& [model, label] : model_and_label) {
    text += model + "," + label + ",py,p,1\n";
  }
  auto file = ReadOutcomes(text, "f.csv", {});
  EXPECT_TRUE(file.ok()) << file.status();
  return *std::move(file);
}

ImportedSweep Import(const OutcomesFile& file) {
  return MakeImportedSweep(file, {"f.csv", std::string(64, 'a'), {}, {}}, "n");
}

std::vector<std::string> Questions(const ImportedSweep& sweep) {
  std::vector<std::string> names;
  for (const QuestionSpec& question : sweep.spec.questions) {
    names.push_back(question.name);
  }
  return names;
}

/// Every cell that the questions ask for is in the file: nothing will ever be pending.
void ExpectNothingPending(const ImportedSweep& sweep) {
  std::set<std::string> have;
  for (const CellDefinition& cell : sweep.cells) {
    have.insert(cell.id);
    EXPECT_FALSE(cell.questions.empty()) << cell.model << " " << cell.precision << " is in no table";
  }
  const std::vector<GridCell> grid = ExpandGrid(sweep.spec);
  EXPECT_EQ(grid.size(), sweep.cells.size());
  for (const GridCell& cell : grid) {
    EXPECT_TRUE(have.contains(CellId(cell.at))) << cell.at.variant.model << cell.at.variant.precision;
  }
}

TEST(ImportedSweepTest, QuestionsAreThoseTheDataCanAnswer) {
  const auto questions = [](const std::vector<std::pair<std::string, std::string>>& rows) {
    const ImportedSweep sweep = Import(FileOf(rows));
    ExpectNothingPending(sweep);
    return Questions(sweep);
  };
  EXPECT_THAT(questions({{"m", "16bit"}, {"m", "2bit"}, {"m", "8bit"}}), ElementsAre("rq1"));
  EXPECT_THAT(questions({{"m", "16bit"}}), ElementsAre("rq1"));
  EXPECT_THAT(questions({{"m", "2bit"}}), ElementsAre("rq1"));
  EXPECT_THAT(questions({{"m", "16bit"}, {"m", "2bit-random"}, {"m", "2bit-mixed"}}),
              ElementsAre("rq1", "rq2"));
  EXPECT_THAT(questions({{"m", "16bit"}, {"m", "2bit-random"}, {"m", "2bit-random-finetuned"}}),
              ElementsAre("rq1", "rq1-finetune"));
  EXPECT_THAT(questions({{"m-7b", "16bit"},
                         {"m-7b", "2bit-mixed"},
                         {"m-13b", "16bit"},
                         {"m-13b", "2bit-mixed"},
                         {"m-13b", "2bit-mixed-finetuned"}}),
              ElementsAre("rq1", "rq1-finetune", "rq3"));
  // Two sizes of two families are no ladder.
  EXPECT_THAT(questions({{"a-7b", "16bit"}, {"a-7b", "2bit"}, {"b-13b", "16bit"}, {"b-13b", "2bit"}}),
              ElementsAre("rq1"));
  // A variant that none of the study's questions asks for is still in a table.
  EXPECT_THAT(questions({{"m", "16bit"}, {"m", "2bit-random"}, {"m", "3bit-code-finetuned"}, {"n", "16bit"}}),
              ElementsAre("rq1", "rq1-code", "rq1-baselines"));
}

TEST(ImportedSweepTest, OrderIsTheStudys) {
  const ImportedSweep sweep = Import(FileOf({{"m", "2bit-code"},
                                             {"m", "2bit-mixed"},
                                             {"m", "8bit-random"},
                                             {"m", "2bit-random"},
                                             {"m", "8bit-mixed"},
                                             {"m", "16bit"}}));
  const QuestionSpec& rq2 = *sweep.spec.FindQuestion("rq2");
  EXPECT_THAT(rq2.precisions, ElementsAre("fp16", "8-bit", "2-bit"));
  EXPECT_THAT(rq2.calibrations, ElementsAre("random", "mixed", "code"));
  EXPECT_EQ(rq2.reference_calibration, "random");
  ExpectNothingPending(sweep);
}

TEST(ImportedSweepTest, TheTextIsTheSpec) {
  const ImportedSweep sweep = Import(FileOf({{"m-7b", "16bit"},
                                             {"m-7b", "2bit-random"},
                                             {"m-7b", "2bit-mixed-finetuned"},
                                             {"m-7b", "2bit-mixed"},
                                             {"n", "3bit-code"}}));
  EXPECT_TRUE(IsImportedSpec(sweep.spec_text));
  EXPECT_FALSE(IsImportedSpec("name: x\n"));
  EXPECT_FALSE(IsImportedSpec("{\"name\": \"x\"}"));
  const auto read = ParseImportedSpec(sweep.spec_text);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->name, "n");
  EXPECT_EQ(read->file_name, "f.csv");
  EXPECT_EQ(ExpandGrid(*read).size(), ExpandGrid(sweep.spec).size());
  for (std::size_t i = 0; i < sweep.spec.questions.size(); ++i) {
    const QuestionSpec& a = sweep.spec.questions[i];
    const QuestionSpec& b = read->questions.at(i);
    EXPECT_EQ(a.name, b.name);
    EXPECT_EQ(a.kind, b.kind);
    EXPECT_EQ(a.models, b.models);
    EXPECT_EQ(a.precisions, b.precisions);
    EXPECT_EQ(a.calibrations, b.calibrations);
    EXPECT_EQ(a.finetunes, b.finetunes);
    EXPECT_EQ(a.benchmarks, b.benchmarks);
    EXPECT_EQ(a.reference_calibration, b.reference_calibration);
  }
  EXPECT_EQ(read->models.at(0).params, "7B");
  EXPECT_EQ(read->benchmarks.at(0).files.at(0).problems, 1);
  EXPECT_EQ(ParseImportedSpec("{\"imported\": {}}").status().code(), absl::StatusCode::kDataLoss);
}

TEST(ImportedSweepTest, StagesAreSharedByContentAndNeverWithRealWork) {
  const OutcomesFile file = FileOf({{"m", "16bit"}, {"m", "2bit"}});
  const ImportedSweep sweep = Import(file);
  ASSERT_EQ(sweep.stages.size(), 3u);  // One inspect, two grades; no size, so no quantize.
  const auto keys = [](const ImportedSweep& of) {
    std::set<std::string> all;
    for (const ImportedStage& stage : of.stages) {
      all.insert(stage.definition.key.value());
      const auto parameters = nlohmann::json::parse(stage.definition.parameters);
      EXPECT_TRUE(parameters.contains("imported"));
      EXPECT_EQ(nlohmann::json::parse(stage.summary)["imported"]["file"], "f.csv");
      EXPECT_EQ(stage.cell >= 0, stage.definition.kind == StageKind::kGrade);
    }
    return all;
  };
  EXPECT_EQ(keys(sweep).size(), 3u);
  EXPECT_EQ(keys(sweep), keys(Import(file)));
  OutcomesFile other = file;
  other.cells[0].problems[0].samples[0].passed = false;
  other.cells[0].problems[0].samples[0].verdict = "fail";
  std::set<std::string> both = keys(sweep);
  both.merge(keys(Import(other)));
  EXPECT_EQ(both.size(), 4u);
}

TEST(ImportedSweepTest, AGivenSizeLiesWhereViewsLookForIt) {
  auto file = ReadOutcomes(
      "model,quantization,language,problem,pass,size_bytes\nm,fp16,py,p,1,100\nm,2bit,py,p,1,30\n"
      "m,2bit-ft,py,p,1,31\n",
      "f.csv",
      {});
  ASSERT_TRUE(file.ok()) << file.status();
  const ImportedSweep sweep = Import(*file);
  const auto size_at = [&](const StageKey& key) {
    for (const ImportedStage& stage : sweep.stages) {
      if (stage.definition.key == key) {
        return nlohmann::json::parse(stage.summary).value("weights_bytes", 0);
      }
    }
    return -1;
  };
  EXPECT_EQ(size_at(sweep.cells[0].inspect), 100);
  EXPECT_EQ(size_at(sweep.cells[1].quantize.value()), 30);
  EXPECT_EQ(size_at(sweep.cells[2].finetune.value()), 31);
}

}  // namespace
}  // namespace bitsweep
