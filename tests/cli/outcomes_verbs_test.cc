// import-outcomes, stats, compare, export against a fake coordinator.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/cli/cli_fixture.h"
#include "tests/cli/fake_coordinator.h"

#include "proto/base/digest.h"

namespace bitsweep::cli {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr const char* kOutcomes =
    "model,quantization,language,problem,pass\n"
    "m-7b,16bit,py,p,1\n"
    "m-7b,16bit,py,p,1\n"
    "m-7b,2bit,py,p,0\n"
    "m-7b,2bit,py,p,1\n";

class OutcomesVerbsTest : public CliTest {
 protected:
  Outcome Ask(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--server", fake_.address()});
    return Run(arguments);
  }

  static std::string Read(const std::filesystem::path& path) {
    std::ifstream stream(path, std::ios::binary);
    std::ostringstream text;
    text << stream.rdbuf();
    return text.str();
  }

  /// A sweep with one quantized cell and its baseline.
  void FillSweep() {
    fake_.record.set_sweep(7);
    fake_.record.set_name("demo");
    fake_.record.set_state("succeeded");
    fake_.record.set_file_name("study.yaml");
    fake_.record.set_text("name: demo\n");
    v1::Cell* fp16 = fake_.cells.add_cells();
    fp16->set_model("m");
    fp16->set_precision("fp16");
    fp16->set_calibration("none");
    fp16->set_finetuned("none");
    fp16->set_benchmark("b");
    fp16->set_language("python");
    fp16->set_state("succeeded");
    fp16->set_has_result(true);
    fp16->set_pass_at_1(0.75);
    v1::Cell* low = fake_.cells.add_cells();
    *low = *fp16;
    low->set_precision("2-bit");
    low->set_calibration("code");
    low->set_pass_at_1(0.5);
    low->set_size_bytes(2'260'000'000);
    low->set_effective_bits(2.0234);
    low->set_quantize_stage(std::string(64, 'c'));
    v1::StageRecord& stage = fake_.stages.emplace_back();
    stage.set_stage(std::string(64, 'c'));
    stage.set_kind("quantize");
    stage.set_attempt(1);
    stage.set_worker("w1");
    stage.set_build("engine-build");
    stage.set_parameters_json(
        R"({"model": "mmm", "method": {"codebooks": 1, "codebook_bits": 15, "group_size": 8},
            "calibration": {"parts": [{"digest": "ddd", "sequences": 16, "window": "pack"}],
                            "sequence_length": 256, "validation": 0}, "seed": 42})");
    v1::CellOutcomes& piece = fake_.outcomes.emplace_back();
    *piece.mutable_cell() = *low;
    v1::Outcome* outcome = piece.add_outcomes();
    outcome->set_problem("p,1");
    outcome->set_verdict("timeout");
    v1::Table* table = fake_.tables.add_tables();
    table->set_question("rq1");
    table->set_benchmark("b/c");
    table->set_text("| a |");
    v1::QuestionStats* tests = fake_.stats.add_questions();
    tests->set_question("rq1");
    tests->set_text("{\"rows\": []}");
  }

  FakeCoordinator fake_;
};

TEST_F(OutcomesVerbsTest, AnImportSendsTheFileOnceAndSaysWhatItIs) {
  const std::string file = Write("data/rows.csv", kOutcomes);
  const Outcome outcome = Ask(
      {"import-outcomes", file, "--name", "theirs", "--map", "quantization=x=2-bit,random", "--default",
       "benchmark=multipl-e"});
  EXPECT_EQ(outcome.code, ExitCode::kOk) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("imported theirs as sweep 5: 4 rows in 2 cells; questions: rq1"));
  ASSERT_THAT(fake_.imports, SizeIs(1));
  const v1::ImportRequest& request = fake_.imports[0];
  EXPECT_EQ(request.file_name(), "rows.csv");
  EXPECT_EQ(request.sha256(), Sha256Hex(kOutcomes));
  EXPECT_EQ(request.maps(0), "quantization=x=2-bit,random");
  EXPECT_EQ(request.defaults(0), "benchmark=multipl-e");
  EXPECT_THAT(request.request_id(), SizeIs(32));
  EXPECT_EQ(fake_.blobs[request.sha256()], kOutcomes);
}

TEST_F(OutcomesVerbsTest, AMistakeIsNamedAndNothingIsSent) {
  const std::string file = Write("rows.csv", std::string(kOutcomes) + "m-7b,2bit,py,q,maybe\n");
  const Outcome outcome = Ask({"import-outcomes", file, "--name", "theirs"});
  EXPECT_EQ(outcome.code, ExitCode::kUsage);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr(file + ":6: pass is 'maybe'")));
  EXPECT_EQ(Ask({"import-outcomes", file}).code, ExitCode::kUsage);
  EXPECT_EQ(Ask({"import-outcomes", folder_ / "none.csv", "--name", "n"}).code, ExitCode::kUsage);
  EXPECT_EQ(Ask({"import-outcomes", file, "--name", "a b"}).code, ExitCode::kUsage);
  EXPECT_THAT(Ask({"import-outcomes", Write("x.csv.gz", kOutcomes), "--name", "n"}).err,
              HasSubstr("is not a gzip file"));
  EXPECT_THAT(fake_.calls, IsEmpty());
  EXPECT_THAT(fake_.blobs, IsEmpty());
}

TEST_F(OutcomesVerbsTest, ADryRunNeedsNoCoordinator) {
  const std::string file = Write("rows.csv", kOutcomes);
  const Outcome outcome = Run({"import-outcomes", file, "--name", "n", "--dry-run", "--server", "127.0.0.1:1"});
  EXPECT_EQ(outcome.code, ExitCode::kOk) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("2-bit-unspecified"), HasSubstr("50.0%"), HasSubstr("questions: rq1")));
  const auto json = nlohmann::json::parse(
      Run({"import-outcomes", file, "--name", "n", "--dry-run", "--output", "json"}).out);
  EXPECT_EQ(json["rows"], 4);
  EXPECT_EQ(json["cells"][1]["pass_at_1"], 0.5);
}

TEST_F(OutcomesVerbsTest, StatsOfOneQuestionAreItsDocumentAndOfSeveralOne) {
  v1::QuestionStats* first = fake_.stats.add_questions();
  first->set_question("rq1");
  first->set_kind("rq1");
  first->set_text(R"({"rows": [{"model": "m", "b": 3}]})");
  auto json = nlohmann::json::parse(Ask({"stats", "demo", "--question", "rq1", "--output", "json", "--seed", "4",
                                         "--permutations", "10", "--resamples", "20", "--benchmark", "b"})
                                        .out);
  EXPECT_EQ(json, nlohmann::json::parse(R"({"rows": [{"model": "m", "b": 3}]})"));
  EXPECT_THAT(fake_.calls, Contains("Stats demo/rq1/b/json/4/10/20"));
  *fake_.stats.add_questions() = *first;
  fake_.stats.mutable_questions(1)->set_question("rq3");
  json = nlohmann::json::parse(Ask({"stats", "--format", "json"}).out);
  EXPECT_EQ(json["rows"][1]["question"], "rq3");
  EXPECT_EQ(json["rows"][1]["b"], 3);
  EXPECT_EQ(Ask({"stats", "--format", "latex"}).code, ExitCode::kUsage);
  EXPECT_EQ(Ask({"stats", "--permutations", "0"}).code, ExitCode::kUsage);
}

TEST_F(OutcomesVerbsTest, CompareNamesThePublication) {
  EXPECT_EQ(Ask({"compare", "demo", "--with", "arxiv:2503.07103"}).out, "beside\n");
  EXPECT_THAT(fake_.calls, Contains("Compare demo arxiv:2503.07103 text"));
  EXPECT_EQ(Ask({"compare", "demo"}).code, ExitCode::kUsage);
}

TEST_F(OutcomesVerbsTest, AnExportIsWholeAndItsDigestsHold) {
  FillSweep();
  const std::filesystem::path out = folder_ / "out";
  const Outcome outcome = Ask({"export", "--out", out.string() + "/"});
  ASSERT_EQ(outcome.code, ExitCode::kOk) << outcome.err;
  EXPECT_THAT(fake_.calls, AllOf(Contains("Record latest"), Contains("Outcomes 7"), Contains("Cells 7")));
  EXPECT_EQ(Read(out / "sweep.yaml"), "name: demo\n");
  EXPECT_THAT(Read(out / "tables" / "rq1-b-c.md"), EndsWith("| a |\n"));
  EXPECT_THAT(Read(out / "outcomes.csv"), HasSubstr("m,2-bit,code,none,python,\"p,1\",0,0,b,,,0,2260000000,timeout\n"));
  EXPECT_THAT(Read(out / "cells.csv"), HasSubstr("b,python,0,0,0,0.5,2260000000,2.0234"));
  const auto versions = nlohmann::json::parse(Read(out / "versions.json"));
  EXPECT_EQ(versions["builds"]["quantize"][0], "engine-build");
  EXPECT_EQ(versions["coordinator"]["build"], "fake");
  const std::string card = Read(out / "models" / "m-AQLM-2-bit-code-1x15.md");
  EXPECT_THAT(card,
              AllOf(HasSubstr("2,260,000,000 bytes"),
                    HasSubstr("2.2600 GB (10^9 bytes)"),
                    HasSubstr("`ddd`"),
                    HasSubstr("42 of the quantization"),
                    HasSubstr(std::string(64, 'c')),
                    HasSubstr("| b | python | 0 | 0 | 50.00 | 75.00 |")));
  // Every file is in SHA256SUMS with its digest, and nothing else is.
  std::size_t files = 0;
  const std::string sums = Read(out / "SHA256SUMS");
  for (const auto& entry : std::filesystem::recursive_directory_iterator(out)) {
    if (entry.is_regular_file() && entry.path().filename() != "SHA256SUMS") {
      ++files;
      EXPECT_THAT(sums,
                  HasSubstr(Sha256Hex(Read(entry.path())) + "  " +
                            std::filesystem::relative(entry.path(), out).string() + "\n"));
    }
  }
  EXPECT_EQ(static_cast<std::size_t>(std::count(sums.begin(), sums.end(), '\n')), files);
}

TEST_F(OutcomesVerbsTest, AnExportReplacesOnlyAnEarlierOneAndOnlyWhenForced) {
  FillSweep();
  const std::string out = (folder_ / "out").string();
  ASSERT_EQ(Ask({"export", "--out", out}).code, ExitCode::kOk);
  const Outcome again = Ask({"export", "--out", out});
  EXPECT_EQ(again.code, ExitCode::kRefused);
  EXPECT_THAT(again.err, AllOf(HasSubstr(out), HasSubstr("--force")));
  EXPECT_EQ(Ask({"export", "--out", out, "--force"}).code, ExitCode::kOk);
  Write("work/precious.txt", "mine");
  EXPECT_EQ(Ask({"export", "--out", (folder_ / "work").string(), "--force"}).code, ExitCode::kRefused);
  EXPECT_EQ(Read(folder_ / "work" / "precious.txt"), "mine");
  // A failure leaves nothing behind, not even the temporary folder.
  fake_.refuse = {grpc::StatusCode::NOT_FOUND, "no sweep"};
  EXPECT_EQ(Ask({"export", "x", "--out", (folder_ / "new" / "x").string()}).code, ExitCode::kNotFound);
  EXPECT_TRUE(std::filesystem::is_empty(folder_ / "new"));
}

}  // namespace
}  // namespace bitsweep::cli
