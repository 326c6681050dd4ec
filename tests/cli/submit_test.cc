#include "tests/cli/cli_fixture.h"
#include "tests/cli/fake_coordinator.h"

#include "proto/base/digest.h"

namespace bitsweep::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr const char* kSweep = R"(name: small
models:
  - {id: sparrow-1m, family: sparrow, params: 1M, path: sparrow-1m}
precisions:
  2-bit: {codebooks: 2, codebook_bits: 8, group_size: 8}
calibrations:
  code: {path: data/code.jsonl, sequences: 2, sequence_length: 16, window: pack}
benchmarks:
  demo:
    format: multipl-e
    languages: {python: data/python.jsonl}
    sampling: {samples: 2, temperature: 0.2, top_p: 0.95, max_tokens_total: 64}
questions:
  rq1: {models: [sparrow-1m], precisions: [fp16, 2-bit], calibrations: [code]}
)";

constexpr const char* kRecord =
    R"({"name": "p1", "language": "py", "prompt": "def f():\n", "tests": "assert f() == 1", "stop_tokens": ["\ndef"]})";

class SubmitTest : public CliTest {
 protected:
  SubmitTest() {
    std::string calibration;
    for (int i = 0; i < 20; ++i) {
      calibration += "{\"text\": \"some text that is long enough to give tokens\"}\n";
    }
    calibration_ = calibration;
    benchmark_ = std::string(kRecord) + "\n";
    Write("data/code.jsonl", calibration_);
    Write("data/python.jsonl", benchmark_);
    file_ = Write("small.yaml", kSweep);
  }

  Outcome Submit(std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"submit", file_, "--server", fake_.address()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Run(arguments);
  }

  void ExpectNothingSent(const Outcome& outcome) {
    EXPECT_EQ(outcome.code, ExitCode::kUsage) << outcome.out;
    EXPECT_THAT(fake_.submits, IsEmpty());
    EXPECT_THAT(fake_.blobs, IsEmpty());
    EXPECT_THAT(fake_.calls, IsEmpty());
  }

  FakeCoordinator fake_;
  std::string file_, calibration_, benchmark_;
};

TEST_F(SubmitTest, UploadsWhatIsMissingThenSubmitsOnce) {
  const Outcome outcome = Submit({"--name", "mine", "--priority", "5"});
  ASSERT_EQ(outcome.code, ExitCode::kOk) << outcome.err;
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("uploaded 2 files"),
                    HasSubstr("submitted mine as sweep 1: 4 cells"),
                    HasSubstr("bitsweep watch 1")));
  EXPECT_THAT(outcome.err, HasSubstr("No worker is connected"));
  ASSERT_THAT(fake_.submits, SizeIs(1));
  const v1::SubmitRequest& request = fake_.submits.front();
  EXPECT_EQ(request.name(), "mine");
  EXPECT_EQ(request.priority(), 5);
  EXPECT_THAT(request.request_id(), SizeIs(32));
  EXPECT_EQ(request.source().file_name(), file_);
  EXPECT_EQ(request.source().text(), kSweep);
  EXPECT_EQ(request.source().file_sha256().at("data/python.jsonl"), Sha256Hex(benchmark_));
  EXPECT_EQ(fake_.blobs.at(Sha256Hex(benchmark_)), benchmark_);
  EXPECT_EQ(fake_.blobs.at(Sha256Hex(calibration_)), calibration_);
}

TEST_F(SubmitTest, WhatTheCoordinatorHoldsIsNotSentAgain) {
  ASSERT_EQ(Submit().code, ExitCode::kOk);
  const Outcome again = Submit();
  EXPECT_THAT(again.out, Not(HasSubstr("uploaded")));
  ASSERT_THAT(fake_.submits, SizeIs(2));
  EXPECT_NE(fake_.submits[0].request_id(), fake_.submits[1].request_id());
}

TEST_F(SubmitTest, ALostAnswerIsAskedForAgainWithTheSameRequest) {
  fake_.submit_failures = 2;
  const Outcome outcome = Submit();
  ASSERT_EQ(outcome.code, ExitCode::kOk) << outcome.err;
  ASSERT_THAT(fake_.submits, SizeIs(3));
  EXPECT_EQ(fake_.submits[0].request_id(), fake_.submits[2].request_id());
  EXPECT_THAT(outcome.out, HasSubstr("as sweep 1"));
}

TEST_F(SubmitTest, LargeFilesTravelInPieces) {
  std::string text = calibration_;
  while (text.size() < (3u << 20)) {
    text += calibration_;
  }
  Write("data/code.jsonl", text);
  ASSERT_EQ(Submit().code, ExitCode::kOk);
  EXPECT_EQ(fake_.blobs.at(Sha256Hex(text)).size(), text.size());
}

TEST_F(SubmitTest, AMisspeltKeyIsNamedWithItsLineAndNothingIsSent) {
  std::string text = kSweep;
  text.replace(text.find("precisions:\n"), 10, "precision");
  file_ = Write("wrong.yaml", text);
  const Outcome outcome = Submit();
  ExpectNothingSent(outcome);
  EXPECT_THAT(outcome.err,
              AllOf(HasSubstr("wrong.yaml:4"), HasSubstr("precision"), HasSubstr("precisions")));
}

TEST_F(SubmitTest, AnUnknownModelIsNamedAndNothingIsSent) {
  std::string text = kSweep;
  text.replace(text.find("[sparrow-1m]"), 12, "[sparow-1m]");
  file_ = Write("wrong.yaml", text);
  const Outcome outcome = Submit();
  ExpectNothingSent(outcome);
  EXPECT_THAT(outcome.err,
              AllOf(HasSubstr("wrong.yaml:14"), HasSubstr("sparow-1m"), HasSubstr("sparrow-1m")));
}

TEST_F(SubmitTest, AMissingFileIsNamedAndNothingIsSent) {
  std::filesystem::remove(folder_ / "data" / "code.jsonl");
  const Outcome outcome = Submit();
  ExpectNothingSent(outcome);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("small.yaml:7"), HasSubstr("code.jsonl")));
}

TEST_F(SubmitTest, ARecordWithoutTestsIsNamedAndNothingIsSent) {
  Write("data/python.jsonl",
        std::string(kRecord) + "\n" +
            R"({"name": "p2", "language": "py", "prompt": "def g():\n", "stop_tokens": []})" +
            "\n");
  const Outcome outcome = Submit();
  ExpectNothingSent(outcome);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("python.jsonl:2"), HasSubstr("p2"), HasSubstr("tests")));
}

TEST_F(SubmitTest, ACalibrationFileThatIsTooShortIsNamedAndNothingIsSent) {
  Write("data/code.jsonl", "{\"text\": \"short\"}\n");
  const Outcome outcome = Submit();
  ExpectNothingSent(outcome);
  EXPECT_THAT(outcome.err, HasSubstr("code.jsonl"));
}

TEST_F(SubmitTest, ASweepFileThatIsNotThereIsAUsageError) {
  const Outcome outcome =
      Run({"submit", (folder_ / "none.yaml").string(), "--server", fake_.address()});
  ExpectNothingSent(outcome);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("none.yaml"), HasSubstr("cannot be read")));
}

TEST_F(SubmitTest, ASettingWithoutAnEqualsSignIsAUsageError) {
  const Outcome outcome = Submit({"--set", "seeds"});
  ExpectNothingSent(outcome);
  EXPECT_THAT(outcome.err, HasSubstr("NAME=VALUE"));
}

TEST_F(SubmitTest, WatchFollowsTheNewSweepByItsId) {
  v1::SweepStatus status;
  status.mutable_summary()->set_sweep(1);
  status.mutable_summary()->set_name("small");
  status.mutable_summary()->set_state("succeeded");
  fake_.Publish(status, /*last=*/true);
  const Outcome outcome = Submit({"--watch"});
  EXPECT_EQ(outcome.code, ExitCode::kOk) << outcome.err;
  EXPECT_THAT(fake_.watched, ::testing::ElementsAre("1"));
}

TEST_F(SubmitTest, PlanOfflineCountsWithoutAServer) {
  const Outcome outcome =
      Run({"plan", file_, "--offline", "--output", "json", "--server", "127.0.0.1:1"});
  ASSERT_EQ(outcome.code, ExitCode::kOk) << outcome.err;
  const auto plan = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(plan["variants"], 2);
  EXPECT_EQ(plan["cells"], 2);
  EXPECT_EQ(plan["completions"], 4);
  EXPECT_EQ(plan["stages"]["quantize"], 1);
  EXPECT_EQ(plan["stages"]["generate"], 2);
  EXPECT_EQ(plan["stages"]["grade"], 2);
  EXPECT_THAT(fake_.calls, IsEmpty());
}

TEST_F(SubmitTest, PlanAsksTheCoordinatorWhatIsCached) {
  const Outcome outcome = Run({"plan", file_, "--output", "json", "--server", fake_.address()});
  ASSERT_EQ(outcome.code, ExitCode::kOk) << outcome.err;
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["cached"], 7);
  EXPECT_THAT(fake_.submits, IsEmpty());
}

TEST_F(SubmitTest, PlanWithoutACoordinatorPointsToOffline) {
  fake_.Stop();
  const Outcome outcome = Run({"plan", file_, "--server", fake_.address()});
  EXPECT_EQ(outcome.code, ExitCode::kUnreachable);
  EXPECT_THAT(outcome.err, HasSubstr("--offline"));
}

TEST_F(SubmitTest, PlanReadsShapesForItsSizes) {
  Write(
      "models/sparrow-1m/config.json",
      R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 128, "intermediate_size": 352,
            "num_hidden_layers": 4, "num_attention_heads": 4, "vocab_size": 2048})");
  const Outcome outcome = Run({"plan",
                               file_,
                               "--offline",
                               "--output",
                               "json",
                               "--models-dir",
                               (folder_ / "models").string()});
  ASSERT_EQ(outcome.code, ExitCode::kOk) << outcome.err;
  const auto plan = nlohmann::json::parse(outcome.out);
  ASSERT_THAT(plan["checkpoints"], SizeIs(1));
  EXPECT_GT(plan["checkpoints"][0]["predicted_bytes"], 0);
  EXPECT_EQ(Run({"plan", file_, "--offline", "--models-dir", "/nowhere"}).code, ExitCode::kUsage);
}

TEST_F(SubmitTest, PlanCountsDeclaredProblemsWhereAFileIsNotHere) {
  std::string text = kSweep;
  text.replace(text.find("    sampling"), 0, "    problems: {python: 161}\n");
  file_ = Write("declared.yaml", text);
  std::filesystem::remove_all(folder_ / "data");
  const Outcome outcome = Run({"plan", file_, "--offline", "--output", "json"});
  ASSERT_EQ(outcome.code, ExitCode::kOk) << outcome.err;
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["completions"], 2 * 161 * 2);
  EXPECT_THAT(outcome.err,
              AllOf(HasSubstr("data/python.jsonl"), HasSubstr("submit will refuse it")));
}

}  // namespace
}  // namespace bitsweep::cli
