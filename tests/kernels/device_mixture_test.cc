// Mixtures of codes on a device against their reference. Without a GPU: see device_ops_test.cc.
#if defined(BITSWEEP_CUDA)

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "tests/kernels/on_device.h"
#include "tests/kernels/random_values.h"
#include "worker/kernels/code_mixture.h"
#include "worker/kernels/codebook_gradient.h"

namespace bitsweep::kernels {
namespace {

TEST_F(DeviceOpsTest, SharesOfOneRowOfXAreSummed) {
  const CodeShape n = {.O = 331 * 5, .I = 1, .M = 2, .K = 13, .g = 8};
  const auto codes = Codes(n.O * n.M, n.K, 50);
  const auto x = Normals(331 * 8, 51);
  const auto scales = Normals(n.O, 52);
  std::vector<float> spread(static_cast<std::size_t>(n.O * 8));
  for (std::size_t i = 0; i < spread.size(); ++i) {
    spread[i] = scales[i / 8] * x[i / 40 * 8 + i % 8];
  }
  CodeIndex index;
  index.Build(n, codes.data(), 1);
  std::vector<float> expected(static_cast<std::size_t>(n.M * n.K * 8));
  CodebookGradientRef({.index = &index, .x = spread.data(), .out = expected.data()}, codes.data());
  const OnDevice<std::int32_t> d_codes(codes);
  IndexOnDevice on_device(n, d_codes);
  const OnDevice<float> d_x(x), d_scales(scales), out(n.M * n.K * 8);
  on_device.index.copies = 5;
  ExpectOk(CodebookGradientCuda(on_device.index, d_x.get(), d_scales.get(), out.get(), nullptr));
  const auto sums = out.Values();
  for (std::size_t i = 0; i < sums.size(); ++i) {
    ASSERT_NEAR(sums[i], expected[i], 1e-4 + 1e-5 * std::abs(expected[i])) << i;
  }
  on_device.index.copies = 2;
  EXPECT_EQ(CodebookGradientCuda(on_device.index, d_x.get(), nullptr, out.get(), nullptr),
            KernelStatus::kBadShape);
}

TEST_F(DeviceOpsTest, MixturesAndTheirGradientsAgree) {
  struct Case {
    CodeShape n;
    std::int64_t T;
    float temperature;
  };
  for (const Case& of : {Case{{.O = 1, .I = 1, .M = 1, .K = 2, .g = 8}, 1, 1.0F},
                         Case{{.O = 13, .I = 7, .M = 3, .K = 17, .g = 8}, 5, 0.3F},
                         Case{{.O = 31, .I = 11, .M = 2, .K = 256, .g = 8}, 19, 0.05F},
                         Case{{.O = 512, .I = 128, .M = 2, .K = 256, .g = 8}, 8, 0.7F}}) {
    const CodeShape& n = of.n;
    const std::int64_t groups = n.O * n.I;
    const auto alternatives = Codes(groups * of.T * n.M, n.K, 60);
    const auto logits = Normals(groups * of.T, 61, 3.0F);
    const auto books = Normals(n.M * n.K * 8, 62);
    auto scales = Normals(n.O, 63);
    scales[0] = n.O > 1 ? 0.0F : scales[0];
    const auto slope = Normals(groups * 8, 64);
    std::vector<float> weight(slope.size()), shares(logits.size()), dots(slope.size() / 8);
    std::vector<float> pulled(logits.size());
    CodeMixture mixture = {.shape = n,
                           .T = of.T,
                           .alternatives = alternatives.data(),
                           .logits = logits.data(),
                           .temperature = of.temperature,
                           .codebooks = books.data(),
                           .scales = scales.data()};
    MixCodesRef(mixture, weight.data());
    PullMixtureRef(mixture,
                   slope.data(),
                   {.entry_scales = shares.data(), .dots = dots.data(), .logits = pulled.data()});
    const OnDevice<std::int32_t> d_alternatives(alternatives);
    const OnDevice<float> d_logits(logits), d_books(books), d_scales(scales), d_slope(slope);
    const OnDevice<float> d_weight(groups * 8), d_shares(groups * of.T), d_dots(groups);
    const OnDevice<float> d_pulled(groups * of.T);
    mixture.alternatives = d_alternatives.get();
    mixture.logits = d_logits.get();
    mixture.codebooks = d_books.get();
    mixture.scales = d_scales.get();
    ExpectOk(MixCodesCuda(mixture, d_weight.get(), nullptr));
    ExpectOk(PullMixtureCuda(
        mixture,
        d_slope.get(),
        {.entry_scales = d_shares.get(), .dots = d_dots.get(), .logits = d_pulled.get()},
        nullptr));
    const auto expect_near = [](const std::vector<float>& got,
                                const std::vector<float>& want,
                                double allowed,
                                const char* what) {
      for (std::size_t i = 0; i < got.size(); ++i) {
        ASSERT_NEAR(got[i], want[i], allowed) << what << " " << i;
      }
    };
    const double m = static_cast<double>(n.M);
    expect_near(d_weight.Values(), weight, 2e-4 * m, "weights");
    expect_near(d_shares.Values(), shares, 1e-4, "entry scales");
    expect_near(d_dots.Values(), dots, 1e-3 * m, "dots");
    expect_near(d_pulled.Values(), pulled, 4e-3 * m / of.temperature, "logits");
  }
}

}  // namespace
}  // namespace bitsweep::kernels

#endif
