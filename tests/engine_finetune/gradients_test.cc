// Gradients against finite differences in f64, and the graph's parts against plain definitions.
#include <cmath>
#include <functional>
#include <random>

#include <gtest/gtest.h>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "tests/engine_finetune/quantized_tiny.h"
#include "worker/engine/finetune/block_graph.h"
#include "worker/engine/finetune/kl_head.h"
#include "worker/engine/finetune/linear_codes.h"
#include "worker/engine/finetune/student.h"
#include "worker/engine/finetune/teacher.h"
#include "worker/engine/model/llama.h"

namespace bitsweep::engine {
namespace {

at::Tensor Normal(std::mt19937& random, std::vector<std::int64_t> shape, double spread = 1.0) {
  at::Tensor out = at::empty(shape, at::kDouble);
  std::normal_distribution<double> normal(0.0, spread);
  for (std::int64_t i = 0; i < out.numel(); ++i) {
    out.data_ptr<double>()[i] = normal(random);
  }
  return out;
}

// Central difference of `loss` by element i of a value in f64.
double Difference(const at::Tensor& value, std::int64_t i, const std::function<double()>& loss) {
  constexpr double kStep = 1e-5;
  double* element = value.data_ptr<double>() + i;
  const double before = *element;
  *element = before + kStep;
  const double above = loss();
  *element = before - kStep;
  const double below = loss();
  *element = before;
  return (above - below) / (2.0 * kStep);
}

struct SmallLinear {
  static constexpr std::int64_t kRows = 6, kGroups = 3, kBooks = 2, kEntries = 4, kGroup = 4;
  explicit SmallLinear(unsigned seed) {
    std::mt19937 random(seed);
    codes = at::empty({kRows, kGroups, kBooks}, at::kInt);
    for (std::int64_t i = 0; i < codes.numel(); ++i) {
      // The last entry of the second codebook is named by no code.
      codes.data_ptr<std::int32_t>()[i] =
          static_cast<std::int32_t>(random() % (i % 2 == 0 ? 4 : 3));
    }
    codebooks = Normal(random, {kBooks, kEntries, 1, kGroup});
    scales = Normal(random, {kRows, 1, 1, 1});
    x = Normal(random, {5, kGroups * kGroup});
    y = Normal(random, {5, kRows});
  }
  at::Tensor codes, codebooks, scales, x, y;
};

TEST(GradientsTest, OfALinearsCodebooksAndScalesAgreeWithFiniteDifferences) {
  const SmallLinear linear(3);
  const LinearCodes codes(linear.codes, SmallLinear::kEntries, SmallLinear::kGroup, at::kCPU);
  const auto residual = [&] {
    return at::linear(linear.x, codes.Decode(linear.codebooks, linear.scales)) - linear.y;
  };
  const auto loss = [&] { return residual().square().sum().item<double>(); };
  at::Tensor by_codebooks;
  at::Tensor by_scales;
  codes.Pull(2.0 * at::mm(residual().t(), linear.x),
             linear.codebooks,
             linear.scales,
             &by_codebooks,
             &by_scales);
  ASSERT_EQ(by_codebooks.sizes(), linear.codebooks.sizes());
  ASSERT_EQ(by_scales.sizes(), linear.scales.sizes());
  for (std::int64_t i = 0; i < by_codebooks.numel(); ++i) {
    EXPECT_NEAR(by_codebooks.data_ptr<double>()[i], Difference(linear.codebooks, i, loss), 1e-6);
  }
  for (std::int64_t i = 0; i < by_scales.numel(); ++i) {
    EXPECT_NEAR(by_scales.data_ptr<double>()[i], Difference(linear.scales, i, loss), 1e-6);
  }
  EXPECT_EQ(by_codebooks[1][3].abs().max().item<double>(), 0.0) << "an entry that no code names";
}

TEST(GradientsTest, TheLoopsInF32AreTheTensorOperationsInF64) {
  for (const unsigned seed : {1U, 2U}) {
    const SmallLinear linear(seed);
    const LinearCodes codes(linear.codes, SmallLinear::kEntries, SmallLinear::kGroup, at::kCPU);
    std::mt19937 random(seed);
    const at::Tensor slope = Normal(random, {SmallLinear::kRows, 12});
    const auto f32 = [](const at::Tensor& tensor) { return tensor.to(at::kFloat); };
    const at::Tensor dense = codes.Decode(linear.codebooks, linear.scales);
    EXPECT_TRUE(
        at::allclose(codes.Decode(f32(linear.codebooks), f32(linear.scales)).to(at::kDouble),
                     dense,
                     1e-5,
                     1e-6));
    EXPECT_TRUE(at::allclose(
        dense,
        Dequantize({linear.codes, f32(linear.codebooks), f32(linear.scales)}).to(at::kDouble),
        1e-5,
        1e-6));
    at::Tensor books, scales, books32, scales32;
    codes.Pull(slope, linear.codebooks, linear.scales, &books, &scales);
    codes.Pull(f32(slope), f32(linear.codebooks), f32(linear.scales), &books32, &scales32);
    EXPECT_EQ(books32.scalar_type(), at::kFloat);
    EXPECT_TRUE(at::allclose(books32.to(at::kDouble), books, 1e-4, 1e-5));
    EXPECT_TRUE(at::allclose(scales32.to(at::kDouble), scales, 1e-4, 1e-5));
  }
}

TEST(GradientsTest, TheBlocksGraphIsTheModelsForwardPass) {
  // Longer than one chunk of queries, grouped heads, odd sizes.
  const TinyModel model({.positions = 300});
  const auto checkpoint = model.Open();
  const BlockWeights weights = LoadBlock(*checkpoint, 1, at::kFloat, at::kCPU);
  const RopeTable rope = MakeRopeTable(checkpoint->config(), 290, at::kCPU);
  std::mt19937 random(5);
  const at::Tensor x = Normal(random, {2, 290, 24}).to(at::kFloat);
  const at::Tensor want = BlockForward(checkpoint->config(), weights, rope, x);
  const at::Tensor got = BlockGraph(checkpoint->config(), weights, rope, x);
  EXPECT_TRUE(at::allclose(got, want, 1e-4, 1e-4)) << (got - want).abs().max();
}

TEST(GradientsTest, KlIsItsDefinition) {
  std::mt19937 random(5);
  // More rows than one chunk of logits has.
  const KlHeads heads = {.student_hidden = Normal(random, {9000, 4}),
                         .teacher_hidden = Normal(random, {9000, 4}),
                         .student_head = Normal(random, {50, 4}),
                         .teacher_head = Normal(random, {50, 4})};
  const auto logs = [](const at::Tensor& hidden, const at::Tensor& head) {
    return at::log_softmax(at::linear(hidden, head), -1);
  };
  const at::Tensor student = logs(heads.student_hidden, heads.student_head);
  const at::Tensor teacher = logs(heads.teacher_hidden, heads.teacher_head);
  const double want = (teacher.exp() * (teacher - student)).sum(-1).mean().item<double>();
  KlGradients gradients;
  EXPECT_NEAR(TeacherKl(heads, &gradients), want, 1e-10);
  EXPECT_NEAR(TeacherKl(heads, nullptr), want, 1e-10);
  const auto loss = [&] { return TeacherKl(heads, nullptr); };
  for (const std::int64_t i : {0, 77, 199}) {
    EXPECT_NEAR(
        gradients.head.data_ptr<double>()[i], Difference(heads.student_head, i, loss), 1e-8);
  }
  for (const std::int64_t i : {0, 35999}) {
    EXPECT_NEAR(
        gradients.hidden.data_ptr<double>()[i], Difference(heads.student_hidden, i, loss), 1e-8);
  }
}

class StudentGradientsTest : public testing::TestWithParam<bool> {};

TEST(TeacherTest, KeepsWhatItsLimitsHoldAndComputesTheRestAnew) {
  const QuantizedTiny tiny;
  const auto model = LlamaModel::Load(*tiny.Teacher(), at::kFloat, at::kCPU);
  const at::Tensor ids = at::arange(36).view({3, 12});
  const std::int64_t bytes = 12 * model->config.hidden_size * 4;
  Teacher on_device(model, ids);
  Teacher on_host(model, ids, {.device_bytes_max = 3 * bytes - 1, .host_bytes_max = 2 * bytes + 1});
  Teacher nowhere(model, ids, {.device_bytes_max = 0});
  EXPECT_EQ(on_device.kept(), 3);
  EXPECT_EQ(on_host.kept(), 2);
  EXPECT_EQ(nowhere.kept(), 0);
  const at::Tensor want = on_device.Hidden({0, 1, 2});
  ASSERT_EQ(want.sizes(), (std::vector<std::int64_t>{36, model->config.hidden_size}));
  for (Teacher* teacher : {&on_host, &nowhere}) {
    EXPECT_TRUE(at::equal(teacher->Hidden({0, 1, 2}), want));
  }
  // What is computed from now on is something else.
  at::Tensor(model->norm).mul_(2.0);
  EXPECT_TRUE(at::equal(on_device.Hidden({0, 1, 2}), want));
  EXPECT_TRUE(at::equal(on_host.Hidden({0, 1}), want.narrow(0, 0, 24)));
  EXPECT_TRUE(at::equal(on_host.Hidden({2}), 2.0 * want.narrow(0, 24, 12)));
  EXPECT_TRUE(at::equal(nowhere.Hidden({0}), 2.0 * want.narrow(0, 0, 12)));
}

// The teacher is computed in f32, which is a constant of the loss.
TEST_P(StudentGradientsTest, OfEveryParameterAgreeWithFiniteDifferences) {
  const QuantizedTiny tiny(GetParam());
  const CalibrationSet set = RandomCalibration(2, 0, 12);
  at::Tensor ids = at::empty({2, 12}, at::kLong);
  for (std::int64_t i = 0; i < 24; ++i) {
    ids.data_ptr<std::int64_t>()[i] =
        set.train[static_cast<std::size_t>(i / 12)][static_cast<std::size_t>(i % 12)];
  }
  Teacher teacher(LlamaModel::Load(*tiny.Teacher(), at::kFloat, at::kCPU), ids);
  const TeacherStates states = {.hidden = teacher.Hidden({0, 1}), .head = teacher.head()};
  const Student student(*tiny.Student(), 12, at::kDouble, at::kCPU);
  Gradients gradients;
  Gradients again;
  const double loss = student.Pass(ids, states, /*recompute=*/false, &gradients);
  EXPECT_EQ(student.Pass(ids, states, /*recompute=*/true, &again), loss);
  const auto value = [&] { return student.Pass(ids, states, false, nullptr); };
  EXPECT_DOUBLE_EQ(value(), loss);
  ASSERT_EQ(gradients.size(), student.parameters().size());
  for (std::size_t p = 0; p < gradients.size(); ++p) {
    const Parameter& parameter = *student.parameters()[p];
    if (parameter.part == TrainedPart::kCodes) {
      EXPECT_FALSE(gradients[p].defined()) << parameter.name << ": nobody asked";
      continue;
    }
    ASSERT_EQ(gradients[p].sizes(), parameter.value.sizes()) << parameter.name;
    EXPECT_TRUE(at::equal(gradients[p], again[p])) << parameter.name;
    const std::int64_t steepest = gradients[p].abs().argmax().item<std::int64_t>();
    EXPECT_NE(gradients[p].contiguous().data_ptr<double>()[steepest], 0.0) << parameter.name;
    for (const std::int64_t i : {std::int64_t{0}, steepest, parameter.value.numel() - 1}) {
      EXPECT_NEAR(gradients[p].contiguous().data_ptr<double>()[i],
                  Difference(parameter.value, i, value),
                  1e-7)
          << parameter.name << " " << i;
    }
  }
}

// Mixtures of codes: logits and what they mix.
TEST(GradientsTest, OfMixedCodesAgreeWithFiniteDifferences) {
  const QuantizedTiny tiny;
  const CalibrationSet set = RandomCalibration(1, 0, 12);
  const at::Tensor ids = at::tensor(set.train[0], at::kLong).unsqueeze(0);
  Teacher teacher(LlamaModel::Load(*tiny.Teacher(), at::kFloat, at::kCPU), ids);
  const TeacherStates states = {.hidden = teacher.Hidden({0}), .head = teacher.head()};
  Student student(*tiny.Student(), 12, at::kDouble, at::kCPU);
  student.OfferCodes(*tiny.Teacher(), {.alternatives = 4, .sharpness = 1.0});
  student.SoftenCodes(0.7);
  Gradients gradients;
  student.Pass(ids, states, /*recompute=*/true, &gradients);
  const auto value = [&] { return student.Pass(ids, states, false, nullptr); };
  int linears = 0;
  for (std::size_t p = 0; p < gradients.size(); ++p) {
    if (student.parameters()[p]->part != TrainedPart::kCodes) {
      continue;
    }
    ++linears;
    for (const std::size_t at : {p - 2, p - 1, p}) {
      const Parameter& parameter = *student.parameters()[at];
      ASSERT_EQ(gradients[at].sizes(), parameter.value.sizes()) << parameter.name;
      const std::int64_t steepest = gradients[at].abs().argmax().item<std::int64_t>();
      const double slope = gradients[at].contiguous().data_ptr<double>()[steepest];
      EXPECT_NE(slope, 0.0) << parameter.name;
      EXPECT_NEAR(slope, Difference(parameter.value, steepest, value), 1e-7) << parameter.name;
    }
  }
  EXPECT_EQ(linears, 3 * 7);
  student.SettleCodes();
  student.Pass(ids, states, /*recompute=*/false, &gradients);
  EXPECT_EQ(gradients[5].abs().max().item<double>(), 0.0) << "settled codes have none";
}

INSTANTIATE_TEST_SUITE_P(Tied, StudentGradientsTest, testing::Bool());

TEST(StudentTest, GradientsOfBf16ProductsAreNearThoseOfF32) {
  const QuantizedTiny tiny;
  const at::Tensor ids = at::tensor(RandomCalibration(1, 0, 20).train[0], at::kLong).unsqueeze(0);
  Teacher teacher(LlamaModel::Load(*tiny.Teacher(), at::kFloat, at::kCPU), ids);
  Gradients wanted, found;
  for (const bool bf16 : {false, true}) {
    Student student(*tiny.Student(), 20, at::kFloat, at::kCPU, bf16);
    student.OfferCodes(*tiny.Teacher(), {});
    student.SoftenCodes(1.0);
    student.Pass(ids,
                 {.hidden = teacher.Hidden({0}), .head = teacher.head()},
                 /*recompute=*/false,
                 bf16 ? &found : &wanted);
  }
  ASSERT_EQ(found.size(), wanted.size());
  double error = 0.0, norm = 0.0;
  for (std::size_t p = 0; p < found.size(); ++p) {
    ASSERT_EQ(found[p].scalar_type(), at::kFloat) << p;
    error += (found[p] - wanted[p]).square().sum().item<double>();
    norm += wanted[p].square().sum().item<double>();
  }
  EXPECT_GT(error, 0.0);
  // The loss's slope is a difference of distributions that are nearly the same, so that the 2^-9 of
  // a rounding is far more of it.
  EXPECT_LT(std::sqrt(error / norm), 0.15);
}

}  // namespace
}  // namespace bitsweep::engine
