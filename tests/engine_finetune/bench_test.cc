#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/engine_io/test_folder.h"
#include "worker/engine/calibration/sampling.h"
#include "worker/engine/checkpoint/checkpoint.h"
#include "worker/engine/finetune/benches.h"
#include "worker/engine/finetune/held_out_kl.h"
#include "worker/engine/tokenizer/tokenizer.h"
#include "worker/engine/verb.h"

namespace bitsweep::engine {
namespace {

using testing::HasSubstr;

const std::string kModel = kModels + "sparrow-1m";

// `bench finetune` whose quantization is the reference's checkpoint.
class FinetuneBenchTest : public testing::Test {
 protected:
  FinetuneBenchTest() {
    stages_.Add("quantize", [](const StageSpec& spec, Events&) {
      for (const auto& entry : std::filesystem::directory_iterator(kAqlmReference)) {
        std::filesystem::copy_file(entry.path(),
                                   spec.output_dir + "/" + entry.path().filename().string(),
                                   std::filesystem::copy_options::skip_existing);
      }
      return nlohmann::json::object();
    });
    RegisterFinetuneBenches(benches_, stages_);
    std::ifstream code("../deploy/demo/calibration/code.jsonl");
    std::ofstream first(folder_.File("first.jsonl")), second(folder_.File("second.jsonl"));
    std::string line;
    for (int i = 0; i < 40 && std::getline(code, line); ++i) {
      (i < 20 ? first : second) << line << "\n";
    }
  }

  // What it prints.
  std::string Run(const std::string& held_out, const std::string& sequences) const {
    CLI::App app;
    const DirectVerb bench = benches_.benches().at(0).configure(app);
    std::vector<std::string> words = {
        kModel, "--calibration", folder_.File("first.jsonl"), "--sequence-length", "64"};
    words.insert(words.end(), {"--what", "plain", "--seeds", "0"});
    words.insert(words.end(), {"--held-out", held_out, "--held-out-sequences", sequences});
    words.insert(words.end(), {"--output", folder_.File("out")});
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
    Events events(-1);
    testing::internal::CaptureStdout();
    try {
      bench({{}, 1, events});
    } catch (...) {
      testing::internal::GetCapturedStdout();
      throw;
    }
    return testing::internal::GetCapturedStdout();
  }
  std::string Kl(const std::string& file, std::int64_t sequences) const {
    const auto tokenizer = Tokenizer::Load(kModel);
    const CalibrationSet text = SampleCalibration({.parts = {{.file = file,
                                                              .sequences = sequences,
                                                              .window = WindowPolicy::kPack,
                                                              .min_tokens = 0}},
                                                   .validation = 0,
                                                   .sequence_length = 64},
                                                  *tokenizer,
                                                  /*seed=*/0);
    const double kl =
        HeldOutKl(*Checkpoint::Open(kAqlmReference), *Checkpoint::Open(kModel), text, at::kCPU, 1);
    char number[32];
    std::snprintf(number, sizeof(number), "%.5f", kl);
    return number;
  }

  TestFolder folder_;
  StageRegistry stages_;
  BenchRegistry benches_;
};

TEST_F(FinetuneBenchTest, ARowHasTheKlOfEachHeldOutText) {
  const std::string first = folder_.File("first.jsonl"), second = folder_.File("second.jsonl");
  const std::string apart = Run(first + "," + second, "1,2");
  EXPECT_THAT(apart, HasSubstr("KL on first.jsonl, second.jsonl |"));
  EXPECT_THAT(apart, HasSubstr("| 0 | plain | " + Kl(first, 1) + ", " + Kl(second, 2) + " |"));
  EXPECT_NE(Kl(first, 1), Kl(second, 2));
  const std::string both = Run(first + "," + second, "2");
  EXPECT_THAT(both, HasSubstr("| 0 | plain | " + Kl(first, 2) + ", " + Kl(second, 2) + " |"));
}

TEST_F(FinetuneBenchTest, NumbersThatFitNoFilesAreRefused) {
  const std::string first = folder_.File("first.jsonl");
  EXPECT_THAT(BadInputOf([&] { Run(first, "1,2,3"); }),
              HasSubstr("--held-out-sequences: 3 numbers for 1 files of --held-out; allowed is one "
                        "number, or one for each file"));
}

}  // namespace
}  // namespace bitsweep::engine
