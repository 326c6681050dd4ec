// The GPU's quantizer of a linear against the CPU's. Labelled gpu; without a Hopper GPU or without
// CUDA in the build it skips aloud.
#include <cmath>
#include <map>
#include <cstdio>

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "tests/engine_quantize/synthetic.h"
#include "worker/engine/error.h"
#include "worker/engine/quantize/linear_methods.h"
#include "worker/kernels/device.h"

namespace bitsweep::engine {
namespace {

LinearTensors ToTensors(const SyntheticLinear& linear, at::Device device) {
  const auto matrix = [&](const std::vector<float>& values, std::int64_t rows) {
    const at::Tensor tensor =
        at::empty({rows, static_cast<std::int64_t>(values.size()) / rows}, at::kFloat);
    std::copy(values.begin(), values.end(), tensor.data_ptr<float>());
    return tensor.to(device);
  };
  return {.weight = matrix(linear.weight, linear.out), .xtx = matrix(linear.xtx, linear.in)};
}

TEST(LinearMethods, TheCpuServesTheCpu) {
  EXPECT_TRUE(ChooseLinearMethod(at::kCPU, {}).on_cpu);
}

class LinearCudaTest : public ::testing::Test {
 protected:
  void SetUp() override {
#if defined(BITSWEEP_CUDA)
    if (at::hasCUDA() && kernels::DeviceSupported()) {
      return;
    }
    GTEST_SKIP() << "skipped: no GPU of compute capability 9.0";
#else
    GTEST_SKIP() << "skipped: built without BITSWEEP_CUDA";
#endif
  }

  static LinearResult Run(const SyntheticLinear& linear,
                          const LinearQuantizeOptions& options,
                          at::Device device,
                          std::uint64_t seed = 3) {
    const LinearMethod& method = ChooseLinearMethod(device, options);
    EXPECT_EQ(method.on_cpu, device.is_cpu());
    return method.run(
        ToTensors(linear, device), options, {.seed = seed, .layer = 1, .linear = 2}, "test", 2);
  }
};

TEST_F(LinearCudaTest, LossesAreTheCpus) {
  double sum = 0.0;
  int count = 0;
  for (const auto& [out, in, books, bits] :
       {std::tuple{96, 64, 1, 6}, {131, 200, 2, 8}, {64, 328, 3, 5}, {256, 136, 1, 12}}) {
    const SyntheticLinear linear(out, in, 17);
    LinearQuantizeOptions options;
    options.codebooks = books;
    options.codebook_bits = bits;
    const LinearResult cpu = Run(linear, options, at::kCPU);
    const LinearResult gpu = Run(linear, options, at::kCUDA);
    sum += std::log(gpu.loss / cpu.loss);
    ++count;
    EXPECT_NEAR(gpu.reference, cpu.reference, 1e-4 * cpu.reference);
    // What was returned has the loss that was reported.
    EXPECT_NEAR(LinearLoss(linear.Problem(),
                           gpu.shape,
                           gpu.codes.data(),
                           gpu.codebooks.data(),
                           gpu.scales.data(),
                           1),
                gpu.loss,
                1e-3 * gpu.loss);
  }
  EXPECT_LT(std::abs(sum / count), 0.01);
}

TEST_F(LinearCudaTest, SeveralHypothesesLowerTheLossAsOnTheCpu) {
  const SyntheticLinear linear(131, 200, 23);
  std::map<int, double> losses;
  for (const int beam : {1, 4}) {
    LinearQuantizeOptions options;
    options.beam_size = beam;
    losses[beam] = Run(linear, options, at::kCUDA).loss;
    const double cpu = Run(linear, options, at::kCPU).loss;
    EXPECT_NEAR(losses[beam], cpu, 0.03 * cpu) << beam;
  }
  EXPECT_LT(losses[4], 0.98 * losses[1]);
}

TEST_F(LinearCudaTest, EqualInputsGiveEqualBits) {
  const SyntheticLinear linear(120, 256, 5);
  const LinearResult first = Run(linear, {}, at::kCUDA);
  const LinearResult second = Run(linear, {}, at::kCUDA);
  EXPECT_EQ(first.codes, second.codes);
  EXPECT_EQ(first.codebooks, second.codebooks);
  EXPECT_EQ(first.scales, second.scales);
}

TEST_F(LinearCudaTest, MoreEntriesThanGroupsAndZeroRows) {
  SyntheticLinear linear(16, 64, 6);
  std::fill(linear.weight.begin(), linear.weight.begin() + 64, 0.0F);
  LinearQuantizeOptions options;
  options.codebooks = 1;
  options.codebook_bits = 12;
  EXPECT_LT(Run(linear, options, at::kCUDA).relative_loss(), 1e-3);
}

TEST_F(LinearCudaTest, NotANumberIsADivergence) {
  SyntheticLinear linear(16, 64, 7);
  linear.weight[5] = std::nanf("");
  try {
    Run(linear, {}, at::kCUDA);
    FAIL() << "NaN was quantized";
  } catch (const EngineError& error) {
    EXPECT_EQ(error.failure(), FailureClass::kDiverged);
  }
}

TEST_F(LinearCudaTest, OtherGroupSizesTakeTheCpu) {
  LinearQuantizeOptions options;
  options.group_size = 4;
  EXPECT_TRUE(ChooseLinearMethod(at::kCUDA, options).on_cpu);
}

}  // namespace
}  // namespace bitsweep::engine
