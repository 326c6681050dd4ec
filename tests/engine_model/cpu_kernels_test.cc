#include "worker/engine/model/cpu_kernels.h"

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace bitsweep::engine {
namespace {

std::vector<float> RandomFloats(std::int64_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> out(static_cast<std::size_t>(count));
  for (float& value : out) {
    value = normal(random);
  }
  return out;
}

// Every set of kernels that this CPU has.
class CpuKernelsTest : public ::testing::TestWithParam<int> {
 protected:
  const CpuKernels& kernels() const {
    int count = 0;
    const CpuKernels* const* sets = AvailableCpuKernels(&count);
    return *sets[GetParam()];
  }
  std::vector<float> Pack(const std::vector<float>& w, std::int64_t n, std::int64_t k) const {
    std::vector<float> packed(static_cast<std::size_t>(PackedSize(n, k, kernels().panel)));
    PackWeights(w.data(), n, k, kernels().panel, packed.data());
    return packed;
  }
};

TEST_P(CpuKernelsTest, MatmulEqualsPlainLoops) {
  for (const std::int64_t m : {1, 2, 7, 29}) {
    for (const std::int64_t n : {1, 16, 37, 64}) {
      for (const std::int64_t k : {1, 13, 128}) {
        const std::vector<float> x = RandomFloats(m * k, 1);
        const std::vector<float> w = RandomFloats(n * k, 2);
        const std::vector<float> packed = Pack(w, n, k);
        std::vector<float> y(static_cast<std::size_t>(m * n + 1), 0.5F);
        for (const bool add : {false, true}) {
          kernels().matmul({x.data(), packed.data(), y.data(), m, n, k, k, n, add});
          for (std::int64_t i = 0; i < m * n; ++i) {
            double want = 0.0;
            for (std::int64_t p = 0; p < k; ++p) {
              want += static_cast<double>(x[static_cast<std::size_t>(i / n * k + p)]) *
                      static_cast<double>(w[static_cast<std::size_t>(i % n * k + p)]);
            }
            // The second product is added to the first.
            ASSERT_NEAR(y[static_cast<std::size_t>(i)], add ? 2 * want : want, 1e-4)
                << m << " " << n << " " << k << " at " << i;
          }
          ASSERT_EQ(y.back(), 0.5F) << "written past the end";
        }
      }
    }
  }
}

TEST_P(CpuKernelsTest, ARowsProductDoesNotDependOnTheRowsBesideIt) {
  const std::int64_t n = 70;
  const std::int64_t k = 131;
  const std::vector<float> w = RandomFloats(n * k, 3);
  const std::vector<float> packed = Pack(w, n, k);
  const std::vector<float> x = RandomFloats(31 * k, 4);
  std::vector<float> together(31 * 70);
  kernels().matmul({x.data(), packed.data(), together.data(), 31, n, k, k, n, false});
  for (std::int64_t row = 0; row < 31; ++row) {
    std::vector<float> alone(70);
    kernels().matmul({x.data() + row * k, packed.data(), alone.data(), 1, n, k, k, n, false});
    EXPECT_EQ(std::memcmp(alone.data(), together.data() + row * n, alone.size() * sizeof(float)), 0)
        << row;
  }
}

TEST_P(CpuKernelsTest, AttentionEqualsPlainLoopsAndIgnoresLaterPositions) {
  const std::int64_t heads = 4;
  const std::int64_t kv_heads = 2;
  const std::int64_t positions = 64;
  for (const std::int64_t dim : {10, 16, 32, 80}) {
    const std::int64_t padded = (dim + kPositionBlock - 1) / kPositionBlock * kPositionBlock;
    const std::vector<float> q = RandomFloats(heads * dim, 5);
    for (const std::int64_t length : {1, 15, 16, 17, 63}) {
      // What lies beyond the length is garbage of the worst kind.
      std::vector<float> keys(static_cast<std::size_t>(kv_heads * positions * dim), std::nanf(""));
      std::vector<float> values(static_cast<std::size_t>(kv_heads * positions * padded),
                                std::nanf(""));
      const std::vector<float> k = RandomFloats(kv_heads * positions * dim, 6);
      const std::vector<float> v = RandomFloats(kv_heads * positions * dim, 7);
      for (std::int64_t head = 0; head < kv_heads; ++head) {
        for (std::int64_t s = 0; s < length; ++s) {
          for (std::int64_t d = 0; d < padded; ++d) {
            const std::size_t plain = static_cast<std::size_t>((head * positions + s) * dim + d);
            values[static_cast<std::size_t>((head * positions + s) * padded + d)] =
                d < dim ? v[plain] : 0.0F;
            if (d < dim) {
              const std::int64_t block =
                  head * positions * dim + s / kPositionBlock * kPositionBlock * dim;
              keys[static_cast<std::size_t>(block + d * kPositionBlock + s % kPositionBlock)] =
                  k[plain];
            }
          }
        }
      }
      std::vector<float> scores(static_cast<std::size_t>(positions));
      std::vector<float> out(static_cast<std::size_t>(heads * dim));
      kernels().attend({q.data(),
                        keys.data(),
                        values.data(),
                        scores.data(),
                        out.data(),
                        heads,
                        kv_heads,
                        dim,
                        positions,
                        length});
      for (std::int64_t i = 0; i < heads * dim; ++i) {
        const std::int64_t head = i / dim / 2;
        double total = 0.0;
        double want = 0.0;
        for (std::int64_t s = 0; s < length; ++s) {
          double dot = 0.0;
          for (std::int64_t d = 0; d < dim; ++d) {
            dot +=
                static_cast<double>(q[static_cast<std::size_t>(i / dim * dim + d)]) *
                static_cast<double>(k[static_cast<std::size_t>((head * positions + s) * dim + d)]);
          }
          const double weight = std::exp(dot / std::sqrt(static_cast<double>(dim)));
          total += weight;
          want += weight * static_cast<double>(
                               v[static_cast<std::size_t>((head * positions + s) * dim + i % dim)]);
        }
        ASSERT_NEAR(out[static_cast<std::size_t>(i)], want / total, 2e-5)
            << "dim " << dim << " length " << length;
      }
    }
  }
}

TEST_P(CpuKernelsTest, NormAndSwigluEqualTheirFormulas) {
  for (const std::int64_t n : {1, 16, 37, 224}) {
    const auto size = static_cast<std::size_t>(n);
    const std::vector<float> x = RandomFloats(n, 8);
    const std::vector<float> weight = RandomFloats(n, 9);
    std::vector<float> y(size);
    kernels().rms_norm(x.data(), weight.data(), y.data(), n, 1e-5F);
    double squares = 0.0;
    for (const float value : x) {
      squares += static_cast<double>(value) * static_cast<double>(value);
    }
    for (std::size_t i = 0; i < size; ++i) {
      EXPECT_NEAR(y[i],
                  static_cast<double>(weight[i]) * static_cast<double>(x[i]) /
                      std::sqrt(squares / static_cast<double>(n) + 1e-5),
                  1e-5);
    }
    std::vector<float> gate_up = RandomFloats(2 * n, 10);
    gate_up[0] = -120.0F;  // Beyond what exp can hold.
    gate_up[size - 1] = n > 1 ? 120.0F : gate_up[size - 1];
    kernels().swiglu(gate_up.data(), y.data(), n);
    for (std::size_t i = 0; i < size; ++i) {
      const double gate = static_cast<double>(gate_up[i]);
      EXPECT_NEAR(
          y[i], gate / (1.0 + std::exp(-gate)) * static_cast<double>(gate_up[size + i]), 1e-4);
    }
  }
}

int SetCount() {
  int count = 0;
  AvailableCpuKernels(&count);
  return count;
}

INSTANTIATE_TEST_SUITE_P(Sets,
                         CpuKernelsTest,
                         ::testing::Range(0, SetCount()),
                         [](const auto& suite) {
                           int count = 0;
                           return std::string(AvailableCpuKernels(&count)[suite.param]->name);
                         });

}  // namespace
}  // namespace bitsweep::engine
