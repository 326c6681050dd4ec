#include "worker/engine/quantize/f16.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include <ATen/ATen.h>

namespace bitsweep::engine {
namespace {

TEST(RoundToF16Test, EqualsTheTensorLibrarysRounding) {
  std::vector<float> values = {0.0F,
                               -0.0F,
                               1.0F,
                               1.00048828125F,
                               1.0009765625F,
                               65504.0F,
                               65519.9F,
                               65520.0F,
                               1e30F,
                               -1e30F,
                               6.1e-5F,
                               5.96e-8F,
                               2.98e-8F,
                               2.99e-8F,
                               1e-12F};
  for (std::uint32_t i = 0; i < 200000; ++i) {
    // Every exponent of interest with scattered fractions, both signs.
    const std::uint32_t bits =
        (((90U + i % 60U) << 23) | ((i * 2654435761U) & 0x7fffffU)) ^ ((i & 1U) << 31);
    values.push_back(std::bit_cast<float>(bits));
  }
  const at::Tensor all =
      at::from_blob(values.data(), {static_cast<std::int64_t>(values.size())}, at::kFloat);
  const at::Tensor want = all.to(at::kHalf).to(at::kFloat);
  for (std::size_t i = 0; i < values.size(); ++i) {
    ASSERT_EQ(RoundToF16(values[i]), want.data_ptr<float>()[i]) << values[i];
  }
}

TEST(RoundToF16Test, KeepsWhatIsNotFinite) {
  EXPECT_TRUE(std::isnan(RoundToF16(std::numeric_limits<float>::quiet_NaN())));
  EXPECT_TRUE(std::isinf(RoundToF16(std::numeric_limits<float>::infinity())));
}

}  // namespace
}  // namespace bitsweep::engine
