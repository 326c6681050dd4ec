// The study's printed tables again from its own figures (arXiv 2503.07103): every arrow and every
// Dec (%), by the same code that makes ours.
#include <cmath>
#include <fstream>
#include <sstream>

#include <absl/strings/str_cat.h>
#include <gtest/gtest.h>

#include "coordinator/study/published.h"
#include "coordinator/study/tables.h"

namespace bitsweep {
namespace {

class PublishedTablesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const absl::StatusOr<const PublishedStudy*> study = FindPublished("arxiv:2503.07103");
    ASSERT_TRUE(study.ok()) << study.status();
    rows_ = (*study)->rows;
    std::ifstream file("../deploy/studies/arxiv-2503.07103.yaml", std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    absl::StatusOr<SweepSpec> spec = ParseSweep(text.str(), "study.yaml");
    ASSERT_TRUE(spec.ok()) << spec.status();
    spec_ = *std::move(spec);
  }

  /// The study prints 6.7B as 7B and 1.3B as 1B.
  std::string ModelOf(const PublishedRow& row) const {
    for (const ModelSpec& model : spec_.models) {
      if (model.family == row.family &&
          absl::StrCat(std::lround(std::stod(model.params)), "B") == row.params) {
        return model.id;
      }
    }
    return "";
  }

  /// The published figures of one question as results.
  Table PublishedTable(const std::string& question, const std::string& benchmark) const {
    std::vector<CellResult> results;
    for (const PublishedRow& row : rows_) {
      if (row.question != question || row.benchmark != benchmark) {
        continue;
      }
      for (const PublishedFigure& figure : row.figures) {
        CellResult result;
        result.model = ModelOf(row);
        result.precision = row.precision;
        result.calibration = row.calibration;
        result.finetuned = row.finetuned ? "kl" : std::string(kNone);
        result.benchmark = benchmark;
        result.language = figure.language;
        result.state = "succeeded";
        result.pass_at_1 = figure.pass_at_1 / 100;
        results.push_back(std::move(result));
      }
    }
    TableOptions options;
    options.rounded = true;
    absl::StatusOr<Table> table = BuildTable(spec_, question, benchmark, results, options);
    EXPECT_TRUE(table.ok()) << table.status();
    return table.ok() ? *table : Table();
  }

  const PublishedRow* Published(const Table& table, const TableRow& row) const {
    for (const PublishedRow& candidate : rows_) {
      if (candidate.question == table.question && candidate.benchmark == table.benchmark &&
          ModelOf(candidate) == row.model && candidate.precision == row.precision &&
          candidate.calibration == row.calibration &&
          candidate.finetuned == (row.finetuned != kNone)) {
        return &candidate;
      }
    }
    return nullptr;
  }

  std::vector<PublishedRow> rows_;
  SweepSpec spec_;
};

TEST_F(PublishedTablesTest, DecIsRecomputedButForOneSignInPrint) {
  int compared = 0;
  std::vector<std::string> different;
  for (const char* benchmark : {"multipl-e", "mceval"}) {
    const Table table = PublishedTable("rq3", benchmark);
    for (const TableRow& row : table.rows) {
      const PublishedRow* published = Published(table, row);
      ASSERT_NE(published, nullptr) << row.model << " " << row.precision;
      for (std::size_t i = 0; i < table.languages.size() && row.precision != kFp16; ++i) {
        ++compared;
        ASSERT_TRUE(row.figures[i].dec_percent);
        const double ours = OneDecimal(*row.figures[i].dec_percent);
        const double theirs = published->figures[i].dec.value_or(999);
        if (std::abs(ours - theirs) > 1e-9) {
          different.push_back(table.benchmark + " " + row.model + " " + row.finetuned + " " +
                              table.languages[i]);
          EXPECT_NEAR(ours, -theirs, 1e-9) << "the sign alone";
        }
      }
    }
  }
  EXPECT_EQ(compared, 48);
  EXPECT_EQ(different, std::vector<std::string>{"mceval CodeLlama-7b-hf kl python"});
}

TEST_F(PublishedTablesTest, ArrowsAreThePrintedOnesButForTwoTies) {
  int compared = 0;
  std::vector<std::string> ties;
  for (const char* question : {"rq1-finetune", "rq2"}) {
    for (const char* benchmark : {"multipl-e", "mceval"}) {
      const Table table = PublishedTable(question, benchmark);
      for (const TableRow& row : table.rows) {
        const PublishedRow* published = Published(table, row);
        ASSERT_NE(published, nullptr) << row.model << " " << row.precision;
        for (std::size_t i = 0; i < table.languages.size(); ++i) {
          const std::optional<bool>& printed_up = published->figures[i].arrow_up;
          const std::optional<Arrow>& arrow = row.figures[i].arrow;
          EXPECT_EQ(printed_up.has_value(), arrow.has_value())
              << question << " " << row.model << " " << row.precision << " " << row.calibration;
          if (!arrow || !printed_up) {
            continue;
          }
          ++compared;
          if (*arrow == Arrow::kTie) {
            ties.push_back(table.question + " " + table.benchmark + " " + row.model + " " +
                           row.precision + " " + table.languages[i]);
          } else {
            EXPECT_EQ(*printed_up, *arrow == Arrow::kUp) << question << " " << row.model;
          }
        }
      }
    }
  }
  EXPECT_EQ(compared, 80);
  EXPECT_EQ(ties,
            (std::vector<std::string>{"rq1-finetune multipl-e deepseek-coder-6.7b-base 3-bit java",
                                      "rq2 multipl-e CodeLlama-7b-hf 8-bit python"}));
}

TEST_F(PublishedTablesTest, EveryPublishedRowHasItsPlace) {
  std::size_t shown = 0;
  for (const char* question : {"rq1", "rq1-finetune", "rq2", "rq3"}) {
    for (const char* benchmark : {"multipl-e", "mceval"}) {
      for (const TableRow& row : PublishedTable(question, benchmark).rows) {
        for (const TableFigure& figure : row.figures) {
          EXPECT_TRUE(figure.pass_at_1)
              << question << " " << benchmark << " " << row.model << " " << row.precision;
        }
        ++shown;
      }
    }
  }
  EXPECT_EQ(shown, rows_.size());
}

}  // namespace
}  // namespace bitsweep
