// Fine-tuning on a GPU against the CPU's. Labelled gpu; without a GPU it skips aloud.
#include <filesystem>
#include <map>
#include <stdexcept>

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "tests/engine_finetune/quantized_tiny.h"
#include "worker/engine/finetune/block_tuning.h"
#include "worker/engine/finetune/code_choice.h"
#include "worker/engine/finetune/linear_codes.h"
#include "worker/engine/finetune/model_finetuner.h"
#include "worker/engine/finetune/student.h"
#include "worker/engine/finetune/teacher.h"
#include "worker/engine/model/llama.h"

namespace bitsweep::engine {
namespace {

class FinetuneCudaTest : public testing::TestWithParam<FinetuneObjective> {
 protected:
  void SetUp() override {
    if (!at::hasCUDA()) {
      GTEST_SKIP() << "skipped: no GPU, or a libtorch without CUDA";
    }
  }
  nlohmann::json Finetune(const std::string& name, const ModelFinetuneOptions& options) const {
    std::filesystem::create_directories(root_.File(name));
    Events events(-1);
    return FinetuneModel(
        tiny_.Student(), tiny_.Teacher(), calibration_, options, root_.File(name), events);
  }
  static ModelFinetuneOptions Options(at::Device device) {
    ModelFinetuneOptions options;
    options.method.objective = GetParam();
    options.method.learning_rate = 3e-3;
    options.method.learning_rate_end = 0.1;
    options.method.epochs = 8;  // Codes want steps.
    options.method.batch = 4;
    options.method.codes.learning_rate = 0.2;
    options.seed = 5;
    options.device = device;
    return options;
  }

  const QuantizedTiny tiny_;
  const TestFolder root_;
  const CalibrationSet calibration_ = RandomCalibration(32, 4, 20);
};

TEST_P(FinetuneCudaTest, LowersTheKlAsTheCpuDoes) {
  const nlohmann::json cpu = Finetune("cpu", Options(at::kCPU));
  const nlohmann::json gpu = Finetune("gpu", Options(at::kCUDA));
  const double before = cpu.at("kl_before").get<double>();
  EXPECT_NEAR(gpu.at("kl_before").get<double>(), before, 1e-3 * before);
  EXPECT_LT(gpu.at("kl_after").get<double>(), 0.8 * before);
  // Rounding may send a code another way, and everything after it.
  EXPECT_NEAR(gpu.at("kl_after").get<double>(), cpu.at("kl_after").get<double>(), 0.1 * before);
}

TEST_P(FinetuneCudaTest, InterruptedGoesOnToTheSameResult) {
  const nlohmann::json whole = Finetune("whole", Options(at::kCUDA));
  ModelFinetuneOptions options = Options(at::kCUDA);
  options.on_step = [](std::int64_t epoch, std::int64_t step) {
    if (epoch == 2 && step == 3) {
      throw std::runtime_error("interrupted");
    }
  };
  EXPECT_THROW(Finetune("cut", options), std::runtime_error);
  const nlohmann::json cut = Finetune("cut", Options(at::kCUDA));
  EXPECT_EQ(cut.at("resumed_epochs"), 1);
  const double want = whole.at("kl_after").get<double>();
  EXPECT_NEAR(cut.at("kl_after").get<double>(), want, 1e-5 * want);
  EXPECT_EQ(cut.at("best_epoch"), whole.at("best_epoch"));
}

TEST_P(FinetuneCudaTest, GradientsAreTheCpus) {
  const at::Tensor ids = at::stack(
      {at::tensor(calibration_.train[0], at::kLong), at::tensor(calibration_.train[1], at::kLong)});
  std::map<bool, Gradients> gradients;
  for (const bool on_gpu : {false, true}) {
    const at::Device device = on_gpu ? at::kCUDA : at::kCPU;
    Teacher teacher(LlamaModel::Load(*tiny_.Teacher(), at::kFloat, device), ids);
    Student student(*tiny_.Student(), 20, at::kFloat, device);
    student.OfferCodes(*tiny_.Teacher(), {});
    student.SoftenCodes(0.5);
    student.Pass(ids,
                 {.hidden = teacher.Hidden({0, 1}), .head = teacher.head()},
                 /*recompute=*/on_gpu,
                 &gradients[on_gpu]);
  }
  ASSERT_EQ(gradients[true].size(), gradients[false].size());
  for (std::size_t p = 0; p < gradients[true].size(); ++p) {
    const at::Tensor& want = gradients[false][p];
    const double error = (gradients[true][p].cpu() - want).norm().item<double>();
    EXPECT_LE(error, 1e-4 * want.norm().item<double>()) << p;
  }
}

TEST(TeacherCudaTest, HalfWeightsAreTheSameTeacher) {
  if (!at::hasCUDA()) {
    GTEST_SKIP() << "skipped: no GPU, or a libtorch without CUDA";
  }
  const auto checkpoint = Checkpoint::Open("../deploy/demo/models/sparrow-1m");
  const at::Tensor ids = at::arange(20).unsqueeze(0);
  const auto half = Teacher::Load(*checkpoint, at::kCUDA);
  ASSERT_EQ(half->lm_head.scalar_type(), at::kHalf);
  Teacher wide(LlamaModel::Load(*checkpoint, at::kFloat, at::kCUDA), ids);
  Teacher narrow(half, ids);
  Teacher rounded(half, ids, {.tf32 = true});
  const at::Tensor want = wide.Hidden({0});
  EXPECT_TRUE(at::equal(narrow.Hidden({0}), want));
  const double error = (rounded.Hidden({0}) - want).norm().item<double>();
  EXPECT_LT(error, 3e-3 * want.norm().item<double>());
  EXPECT_FALSE(at::globalContext().allowTF32CuBLAS());
}

// Groups of 8 are taken by kernels, others by tensor operations.
class LinearCodesCudaTest : public testing::TestWithParam<std::int64_t> {
 protected:
  void SetUp() override {
    if (!at::hasCUDA()) {
      GTEST_SKIP() << "skipped: no GPU, or a libtorch without CUDA";
    }
  }
};

TEST_P(LinearCodesCudaTest, ValuesAndGradientsAreTheCpus) {
  struct Shape {
    std::int64_t rows, groups, books, entries;
  };
  for (const Shape& n : {Shape{1, 1, 1, 2}, Shape{13, 7, 3, 31}, Shape{1024, 512, 1, 32768}}) {
    at::manual_seed(n.rows);
    const at::Tensor codes =
        at::randint(n.entries, {n.rows, n.groups, n.books}, at::kLong).to(at::kInt);
    const at::Tensor books = at::randn({n.books, n.entries, 1, GetParam()});
    const at::Tensor scales = at::randn({n.rows, 1, 1, 1});
    const at::Tensor slope = at::randn({n.rows, n.groups * GetParam()});
    LinearCodes device(codes, n.entries, GetParam(), at::kCUDA);
    for (const bool chosen : {false, true}) {
      if (chosen) {
        device.Offer(slope.cuda(), books.cuda(), scales.cuda(), {}).uniform_();
        device.Settle();
      }
      const LinearCodes host(device.codes().cpu(), n.entries, GetParam(), at::kCPU);
      const at::Tensor weight = device.Decode(books.cuda(), scales.cuda()).cpu();
      EXPECT_TRUE(GetParam() == 8 ? at::equal(weight, host.Decode(books, scales))
                                  : at::allclose(weight, host.Decode(books, scales)));
      at::Tensor want[2];
      at::Tensor got[2];
      host.Pull(slope, books, scales, &want[0], &want[1]);
      device.Pull(slope.cuda(), books.cuda(), scales.cuda(), &got[0], &got[1]);
      for (const int i : {0, 1}) {
        EXPECT_LE((got[i].cpu() - want[i]).norm().item<double>(),
                  1e-5 * want[i].norm().item<double>())
            << n.rows << " rows, " << (i == 0 ? "codebooks" : "scales");
      }
    }
  }
}

TEST_P(LinearCodesCudaTest, MixturesAndTheirGradientsAreTheCpus) {
  at::manual_seed(9);
  const std::int64_t rows = 16;
  const std::int64_t groups = 17;
  const at::Tensor codes = at::randint(256, {rows, groups, 2}, at::kLong).to(at::kInt);
  const at::Tensor books = at::randn({2, 256, 1, GetParam()});
  const at::Tensor scales = at::randn({rows, 1, 1, 1});
  const at::Tensor weight = at::randn({rows, groups * GetParam()});
  const at::Tensor slope = at::randn({rows, groups * GetParam()});
  LinearCodes host(codes, 256, GetParam(), at::kCPU);
  LinearCodes device(codes, 256, GetParam(), at::kCUDA);
  const at::Tensor logits = host.Offer(weight, books, scales, {});
  device.Offer(weight.cuda(), books.cuda(), scales.cuda(), {}).copy_(logits);
  host.Soften(0.3);
  device.Soften(0.3);
  const auto expect_near = [](const at::Tensor& got, const at::Tensor& want, const char* what) {
    EXPECT_LE((got.cpu() - want).norm().item<double>(), 1e-3 * want.norm().item<double>()) << what;
  };
  // Few groups, so that none has two alternatives whose order rounding decides.
  expect_near(device.Decode(books.cuda(), scales.cuda()), host.Decode(books, scales), "weights");
  at::Tensor want[3];
  at::Tensor got[3];
  host.Pull(slope, books, scales, &want[0], &want[1], &want[2]);
  device.Pull(slope.cuda(), books.cuda(), scales.cuda(), &got[0], &got[1], &got[2]);
  expect_near(got[0], want[0], "codebooks");
  expect_near(got[1], want[1], "scales");
  expect_near(got[2], want[2], "logits");
  at::Tensor again[3];
  device.Pull(slope.cuda(), books.cuda(), scales.cuda(), &again[0], &again[1], &again[2]);
  for (const int i : {0, 1, 2}) {
    EXPECT_TRUE(at::equal(again[i], got[i])) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(GroupSizes, LinearCodesCudaTest, testing::Values(8, 4));

INSTANTIATE_TEST_SUITE_P(Objectives,
                         FinetuneCudaTest,
                         testing::Values(FinetuneObjective::kTeacherKl,
                                         FinetuneObjective::kPvTeacherKl));

TEST(CodeChoiceCudaTest, AlternativesAreTheCpus) {
  if (!at::hasCUDA()) {
    GTEST_SKIP() << "skipped: no GPU, or a libtorch without CUDA";
  }
  at::manual_seed(3);
  const at::Tensor books = at::randn({3, 256, 8});
  const at::Tensor targets = at::randn({5000, 8}) * 1.7;
  const at::Tensor codes = at::randint(256, {5000, 3}, at::kLong);
  const CodeAlternatives cpu = FindAlternatives(targets, codes, books, {});
  const CodeAlternatives gpu = FindAlternatives(targets.cuda(), codes.cuda(), books.cuda(), {});
  EXPECT_LT((cpu.codes != gpu.codes.cpu()).any(2).to(at::kDouble).mean().item<double>(), 1e-2);
}

TEST(BlockTuningCudaTest, ReachesTheCpusLoss) {
  if (!at::hasCUDA()) {
    GTEST_SKIP() << "skipped: no GPU, or a libtorch without CUDA";
  }
  const QuantizedTiny tiny;
  const auto student = tiny.Student();
  const ModelConfig& config = student->config();
  std::map<bool, TrainState> states;
  for (const bool on_gpu : {false, true}) {
    const at::Device device = on_gpu ? at::kCUDA : at::kCPU;
    const RopeTable rope = MakeRopeTable(config, 20, device);
    const BlockWeights full = LoadBlock(*tiny.Teacher(), 1, at::kFloat, device);
    at::manual_seed(5);
    const at::Tensor x = at::randn({12, 20, config.hidden_size}).to(device);
    const at::Tensor y = BlockForward(config, full, rope, x);
    std::map<std::string, QuantizedLinear> linears;
    for (const std::string& name : ModelConfig::LinearNames()) {
      linears[name] = student->GetQuantized("model.layers.1." + name);
    }
    at::Tensor first = full.input_layernorm;
    at::Tensor second = full.post_attention_layernorm;
    states[on_gpu] = TuneBlock({.layer = 1,
                                .config = &config,
                                .rope = &rope,
                                .train_inputs = x.narrow(0, 0, 8),
                                .train_targets = y.narrow(0, 0, 8),
                                .validation_inputs = x.narrow(0, 8, 4),
                                .validation_targets = y.narrow(0, 8, 4),
                                .seed = 1},
                               {.learning_rate = 1e-3, .epochs = 3, .early_stop = 0, .batch = 2},
                               {},
                               &linears,
                               &first,
                               &second);
  }
  EXPECT_LT(states[true].best, 0.99 * states[true].untrained);
  EXPECT_NEAR(states[true].best, states[false].best, 1e-3 * states[false].best);
}

}  // namespace
}  // namespace bitsweep::engine
