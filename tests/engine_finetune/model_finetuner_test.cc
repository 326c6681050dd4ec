#include "worker/engine/finetune/model_finetuner.h"

#include <filesystem>
#include <fstream>
#include <map>
#include <stdexcept>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "tests/engine_finetune/quantized_tiny.h"
#include "worker/engine/checkpoint/atomic_file.h"
#include "worker/engine/error.h"
#include "worker/engine/finetune/train_state_file.h"
#include "worker/engine/model/llama.h"

namespace bitsweep::engine {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class ModelFinetunerTest : public testing::Test {
 protected:
  ModelFinetunerTest() {
    options_.method.learning_rate = 3e-3;
    options_.method.epochs = 3;
    options_.seed = 5;
  }
  std::string Folder(const std::string& name) const {
    fs::create_directories(root_.File(name));
    return root_.File(name);
  }
  nlohmann::json Finetune(const std::string& folder, const QuantizedTiny& tiny) const {
    Events events(-1);
    return FinetuneModel(tiny.Student(), tiny.Teacher(), calibration_, options_, folder, events);
  }
  nlohmann::json Finetune(const std::string& folder) const { return Finetune(folder, tiny_); }
  // Runs until the given step has been made, then is interrupted.
  void Interrupt(const std::string& folder, std::int64_t epoch, std::int64_t step) {
    options_.on_step = [&](std::int64_t e, std::int64_t s) {
      if (e == epoch && s == step) {
        throw std::runtime_error("interrupted");
      }
    };
    EXPECT_THROW(Finetune(folder), std::runtime_error);
    options_.on_step = nullptr;
  }
  static std::map<std::string, std::string> Weights(const std::string& folder) {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (entry.path().extension() == ".safetensors") {
        files[entry.path().filename()] = ReadWholeFile(entry.path());
      }
    }
    return files;
  }
  // KL(teacher || `dir`) on the validation sequences, from logits as whoever loads it computes
  // them.
  double Kl(const std::shared_ptr<const Checkpoint>& checkpoint) const {
    const auto logs = [&](const Checkpoint& model, const std::vector<std::int64_t>& ids) {
      return at::log_softmax(LlamaModel::Load(model, at::kFloat, at::kCPU)
                                 ->Logits(at::tensor(ids, at::kLong).unsqueeze(0))[0]
                                 .to(at::kDouble),
                             -1);
    };
    double sum = 0.0;
    for (const auto& ids : calibration_.validation) {
      const at::Tensor teacher = logs(*tiny_.Teacher(), ids);
      sum += (teacher.exp() * (teacher - logs(*checkpoint, ids))).sum(-1).mean().item<double>();
    }
    return sum / static_cast<double>(calibration_.validation.size());
  }

  QuantizedTiny tiny_;
  TestFolder root_;
  CalibrationSet calibration_ = RandomCalibration(12, 4, 20);
  ModelFinetuneOptions options_;
};

TEST_F(ModelFinetunerTest, LowersTheKlAndWritesACheckpointOfTheSameCodes) {
  const std::string folder = Folder("tuned");
  const nlohmann::json totals = Finetune(folder);
  const auto before = tiny_.Student();
  const auto after = Checkpoint::Open(folder);
  EXPECT_LT(totals.at("kl_after").get<double>(), 0.8 * totals.at("kl_before").get<double>());
  EXPECT_NEAR(totals.at("kl_before").get<double>(), Kl(before), 1e-2 * Kl(before));
  EXPECT_NEAR(totals.at("kl_after").get<double>(), Kl(after), 1e-2 * Kl(after));
  EXPECT_EQ(totals.at("kl_on"), "validation");
  EXPECT_EQ(totals.at("epochs"), 3);
  EXPECT_EQ(totals.at("steps"), 36);
  EXPECT_EQ(totals.at("curve").size(), 3U);
  for (const char* linear : {"model.layers.0.self_attn.q_proj", "model.layers.2.mlp.down_proj"}) {
    EXPECT_TRUE(at::equal(before->GetQuantized(linear).codes, after->GetQuantized(linear).codes));
    EXPECT_FALSE(
        at::equal(before->GetQuantized(linear).codebooks, after->GetQuantized(linear).codebooks));
    EXPECT_FALSE(
        at::equal(before->GetQuantized(linear).scales, after->GetQuantized(linear).scales));
  }
  for (const char* name : {"model.embed_tokens.weight",
                           "lm_head.weight",
                           "model.norm.weight",
                           "model.layers.1.input_layernorm.weight"}) {
    EXPECT_FALSE(at::equal(before->Get(name), after->Get(name))) << name;
  }
  const auto files = [](const Checkpoint& checkpoint) { return checkpoint.WeightFiles(); };
  EXPECT_EQ(files(*after), files(*before));
  EXPECT_FALSE(fs::exists(folder + "/" + kTrainStateFile));
  const nlohmann::json report = nlohmann::json::parse(std::ifstream(folder + "/report.json"));
  EXPECT_EQ(report.at("totals").at("kl_after"), totals.at("kl_after"));
}

TEST_F(ModelFinetunerTest, ResumedEqualsUninterrupted) {
  const std::string whole = Folder("whole");
  const nlohmann::json totals = Finetune(whole);
  const auto want = Weights(whole);
  const std::string cut = Folder("cut");
  Interrupt(cut, 1, 5);
  EXPECT_FALSE(fs::exists(cut + "/config.json"));
  Interrupt(cut, 2, 1);
  Interrupt(cut, 3, 12);
  const nlohmann::json resumed = Finetune(cut);
  EXPECT_EQ(resumed.at("resumed_epochs"), 2);
  EXPECT_EQ(Weights(cut), want);
  for (const char* figure : {"kl_before", "kl_after", "curve", "steps", "best_epoch"}) {
    EXPECT_EQ(resumed.at(figure), totals.at(figure)) << figure;
  }
  // A damaged state is none.
  const std::string damaged = Folder("damaged");
  Interrupt(damaged, 2, 1);
  fs::resize_file(damaged + "/" + kTrainStateFile, 1000);
  EXPECT_EQ(Finetune(damaged).at("resumed_epochs"), 0);
  EXPECT_EQ(Weights(damaged), want);
}

TEST_F(ModelFinetunerTest, AFinishedFolderIsReadAndAnotherIdentityTrained) {
  const std::string folder = Folder("folder");
  const nlohmann::json totals = Finetune(folder);
  const auto before = Weights(folder);
  options_.on_step = [](std::int64_t, std::int64_t) { FAIL() << "trained again"; };
  EXPECT_EQ(Finetune(folder), totals);
  int steps = 0;
  options_.on_step = [&](std::int64_t, std::int64_t) { ++steps; };
  options_.seed = 6;
  Finetune(folder);
  EXPECT_EQ(steps, 36);
  EXPECT_NE(Weights(folder), before);
}

TEST_F(ModelFinetunerTest, ThreadsAndCheckpointingDoNotChangeTheFiles) {
  options_.method.batch = 4;
  options_.method.epochs = 2;
  options_.method.checkpointing = GradientCheckpointing::kOff;
  const std::string plain = Folder("plain");
  Finetune(plain);
  options_.threads = 3;
  options_.method.checkpointing = GradientCheckpointing::kOn;
  const std::string other = Folder("other");
  EXPECT_EQ(Finetune(other).at("recomputed_graphs"), true);
  EXPECT_EQ(Weights(other), Weights(plain));
}

TEST_F(ModelFinetunerTest, ProductsInBf16ReachTheKlOfF32) {
  const double wanted = Finetune(Folder("f32")).at("kl_after").get<double>();
  options_.method.products = Products::kBf16;
  const nlohmann::json totals = Finetune(Folder("bf16"));
  EXPECT_NE(totals.at("kl_after").get<double>(), wanted);
  EXPECT_NEAR(totals.at("kl_after").get<double>(), wanted, 0.05 * wanted);
}

class PvTuningTest : public ModelFinetunerTest {
 protected:
  PvTuningTest() {
    options_.method.objective = FinetuneObjective::kPvTeacherKl;
    options_.method.learning_rate_end = 0.1;
    options_.method.codes.learning_rate = 0.2;
    options_.method.epochs = 8;
    options_.method.batch = 4;
  }
  // The share of codes that differ between two checkpoints.
  static double Changed(const Checkpoint& a, const Checkpoint& b) {
    double changed = 0.0, all = 0.0;
    for (std::int64_t layer = 0; layer < a.config().num_layers; ++layer) {
      for (const std::string& name : ModelConfig::LinearNames()) {
        const std::string linear = "model.layers." + std::to_string(layer) + "." + name;
        const at::Tensor codes = a.GetQuantized(linear).codes;
        changed += (codes != b.GetQuantized(linear).codes).sum().item<double>();
        all += static_cast<double>(codes.numel());
      }
    }
    return changed / all;
  }
};

TEST_F(PvTuningTest, MovesCodesAndLowersTheKl) {
  const std::string folder = Folder("pv");
  calibration_ = RandomCalibration(32, 4, 20);
  const nlohmann::json totals = Finetune(folder);
  const auto tuned = Checkpoint::Open(folder);
  EXPECT_GT(totals.at("codes_changed").get<double>(), 0.0);
  EXPECT_DOUBLE_EQ(totals.at("codes_changed").get<double>(), Changed(*tiny_.Student(), *tuned));
  EXPECT_LT(totals.at("kl_after").get<double>(), 0.7 * totals.at("kl_before").get<double>());
  EXPECT_NEAR(totals.at("kl_after").get<double>(), Kl(tuned), 1e-2 * Kl(tuned));
  options_.method.objective = FinetuneObjective::kTeacherKl;
  options_.method.epochs = 1;
  EXPECT_FALSE(Finetune(Folder("without")).contains("codes_changed"));
}

TEST_F(PvTuningTest, ResumedEqualsUninterruptedOnAnyThreads) {
  const std::string whole = Folder("whole");
  const nlohmann::json totals = Finetune(whole);
  const std::string cut = Folder("cut");
  Interrupt(cut, 1, 2);
  options_.threads = 3;
  Interrupt(cut, 4, 3);
  Interrupt(cut, 8, 1);
  const nlohmann::json resumed = Finetune(cut);
  EXPECT_EQ(resumed.at("resumed_epochs"), 7);
  EXPECT_EQ(Weights(cut), Weights(whole));
  for (const char* figure : {"kl_after", "curve", "best_epoch", "codes_changed"}) {
    EXPECT_EQ(resumed.at(figure), totals.at(figure)) << figure;
  }
}

TEST_F(ModelFinetunerTest, OnlyWhatIsAskedForMoves) {
  options_.method.train = {TrainedPart::kScales};
  options_.method.epochs = 1;
  const std::string folder = Folder("scales");
  Finetune(folder);
  const auto before = tiny_.Student();
  const auto after = Checkpoint::Open(folder);
  for (const auto& [name, file] : before->tensors()) {
    const bool is_scale = name.size() > 7 && name.compare(name.size() - 7, 7, ".scales") == 0;
    EXPECT_NE(at::equal(before->Get(name), after->Get(name)), is_scale) << name;
  }
}

TEST_F(ModelFinetunerTest, TiedEmbeddingsMoveAsOneTable) {
  const QuantizedTiny tied(true);
  options_.method.train = {TrainedPart::kLmHead};
  options_.method.epochs = 1;
  const std::string folder = Folder("tied");
  const nlohmann::json totals = Finetune(folder, tied);
  EXPECT_LT(totals.at("kl_after").get<double>(), totals.at("kl_before").get<double>());
  EXPECT_FALSE(at::equal(Checkpoint::Open(folder)->Get("model.embed_tokens.weight"),
                         tied.Student()->Get("model.embed_tokens.weight")));
}

TEST_F(ModelFinetunerTest, WithoutValidationTheFirstSequencesAreMeasured) {
  calibration_ = RandomCalibration(12, 0, 20);
  options_.method.epochs = 1;
  const nlohmann::json totals = Finetune(Folder("train"));
  EXPECT_EQ(totals.at("kl_on"), "train");
  EXPECT_LT(totals.at("kl_after").get<double>(), totals.at("kl_before").get<double>());
}

TEST_F(ModelFinetunerTest, DivergenceIsClassedAndNamesStepAndRate) {
  options_.method.learning_rate = 50.0;
  try {
    Finetune(Folder("diverged"));
    FAIL();
  } catch (const EngineError& error) {
    EXPECT_EQ(error.failure(), FailureClass::kDiverged);
    EXPECT_THAT(error.what(), HasSubstr("fine-tuning of the model: the loss"));
    EXPECT_THAT(error.what(), HasSubstr("epoch 1, step"));
    EXPECT_THAT(error.what(), HasSubstr("learning rate 50"));
  }
}

TEST_F(ModelFinetunerTest, WrongPairsAreRefusedByName) {
  const std::string folder = Folder("wrong");
  Events events(-1);
  const auto refusal = [&](const auto& student, const auto& teacher) {
    return BadInputOf(
        [&] { FinetuneModel(student, teacher, calibration_, options_, folder, events); });
  };
  EXPECT_THAT(refusal(tiny_.Teacher(), tiny_.Teacher()), HasSubstr("is not quantized"));
  EXPECT_THAT(refusal(tiny_.Student(), tiny_.Student()), HasSubstr("the teacher is"));
  const TinyModel other({.hidden = 24, .vocab = 60});
  EXPECT_THAT(refusal(tiny_.Student(), other.Open()), HasSubstr("intermediate_size"));
  calibration_.sequence_length = 97;
  EXPECT_THAT(refusal(tiny_.Student(), tiny_.Teacher()), HasSubstr("96 positions"));
  EXPECT_TRUE(fs::is_empty(folder));
}

}  // namespace
}  // namespace bitsweep::engine
