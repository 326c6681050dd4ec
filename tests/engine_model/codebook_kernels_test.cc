// The two ops that read codes on the device, against their references. Labelled gpu; where the
// build or the machine has no Hopper GPU they skip aloud.
#include <cmath>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "worker/engine/model/coded_linear.h"
#include "worker/engine/model/generation_kernels.h"

namespace bitsweep::engine {
namespace {

using kernels::Element;

struct Case {
  std::vector<std::int64_t> outputs;
  std::int64_t groups, codebooks;
  int bits;
  std::int64_t group_size;
};

class CodebookKernelsTest : public ::testing::TestWithParam<Element> {
 protected:
  void SetUp() override {
    if (!at::hasCUDA() || ChooseGenerationKernels(at::kCUDA) == nullptr) {
      GTEST_SKIP() << "skipped: no GPU of compute capability 9.0, or a build without CUDA";
    }
    at::manual_seed(7);
  }
  at::ScalarType type() const { return GetParam() == Element::kF16 ? at::kHalf : at::kBFloat16; }
  static CodedProduct Random(const Case& of) {
    CodedProduct product;
    product.shape.I = of.groups;
    product.shape.M = of.codebooks;
    product.shape.g = of.group_size;
    product.shape.bits = of.bits;
    const std::int64_t half = product.shape.K() / 2;
    for (const std::int64_t rows : of.outputs) {
      product.parts.push_back(MakeCodedLinear(
          product.shape,
          at::randint(
              -half, half, {rows, of.groups, of.codebooks}, of.bits <= 8 ? at::kChar : at::kShort),
          at::randn({of.codebooks, product.shape.K(), 1, of.group_size}),
          at::rand({rows}) + 0.5,
          at::kCPU));
    }
    return product;
  }
  at::Tensor Poison(std::int64_t rows, std::int64_t columns) const {
    return at::full({rows, columns}, std::nan(""), at::kFloat).to(type()).cuda();
  }
  void LookUp(const CodedProduct& product, const at::Tensor& x, const at::Tensor& out) const {
    kernels::CodebookMatvecArgs args = product.MatvecArgs(GetParam());
    args.rows = x.size(0);
    args.x = x.data_ptr();
    args.out = out.data_ptr();
    CheckKernel(ChooseGenerationKernels(x.device())->codebook_matvec(args, nullptr), "matvec");
  }
  void ExpectLookUpNear(const Case& of, std::int64_t rows) const {
    const CodedProduct product = Random(of);
    const CodedProduct on_device = CopyTo(product, at::kCUDA);
    const std::string what =
        std::to_string(of.codebooks) + "x" + std::to_string(of.bits) + ", " +
        std::to_string(of.group_size) + " a group, " + std::to_string(of.groups) + " groups, " +
        std::to_string(product.rows()) + " outputs, " + std::to_string(rows) + " rows";
    const at::Tensor x = at::randn({rows, product.columns()}).to(type());
    const at::Tensor want = at::empty({rows, product.rows()}, x.options());
    LookUp(product, x, want);
    const at::Tensor got = Poison(rows, product.rows());
    const at::Tensor d_x = x.cuda();
    LookUp(on_device, d_x, got);
    const double step = GetParam() == Element::kF16 ? 0x1.0p-10 : 0x1.0p-7;
    // A bound of sum |x W|: sums of products of normal numbers.
    const double sums = static_cast<double>(product.columns() * of.codebooks) * 1.5;
    const at::Tensor wide = want.to(at::kDouble);
    const at::Tensor error = (got.cpu().to(at::kDouble) - wide).abs();
    const at::Tensor allowed = wide.abs() * (2 * step) + sums * 0x1.0p-18;
    EXPECT_TRUE((error <= allowed).all().item<bool>())
        << what << ", largest error " << error.max().item<double>();
    // Alone, and among others: the same bits.
    const std::int64_t last = rows - 1;
    const at::Tensor one = Poison(1, product.rows());
    LookUp(on_device, d_x.narrow(0, last, 1).clone(), one);
    EXPECT_TRUE(at::equal(one, got.narrow(0, last, 1))) << what;
    for (int repeat = 0; repeat < 3; ++repeat) {
      const at::Tensor again = Poison(rows, product.rows());
      LookUp(on_device, d_x, again);
      EXPECT_TRUE(at::equal(again, got)) << what;
    }
  }
};

TEST_P(CodebookKernelsTest, LookUpIsNearTheReferenceInEveryLayout) {
  const Case cases[] = {{{1}, 1, 1, 1, 8},
                        {{37}, 53, 2, 8, 8},    // Both codebooks in a block, eight times.
                        {{131}, 61, 1, 15, 8},  // Quarters of entries, four blocks.
                        {{67}, 97, 2, 15, 8},   // Eight blocks.
                        {{67}, 41, 4, 15, 8},   // Sixteen.
                        {{131}, 33, 1, 14, 8},
                        {{131}, 33, 2, 12, 8},
                        {{131}, 33, 2, 13, 8},
                        {{59}, 127, 1, 16, 8},  // From the cache.
                        {{59}, 31, 1, 16, 16},
                        {{59}, 31, 3, 16, 4},
                        {{59}, 31, 2, 8, 4},
                        {{59}, 31, 2, 8, 16},
                        {{59}, 31, 1, 13, 16},
                        {{59}, 31, 1, 15, 4},
                        {{59}, 31, 3, 5, 8},
                        {{37, 5, 331}, 67, 1, 12, 8}};
  for (const Case& of : cases) {
    for (const std::int64_t rows : {1, 7, 13, 37}) {
      ExpectLookUpNear(of, rows);
    }
  }
}

TEST_P(CodebookKernelsTest, LookUpIsNearTheReferenceOnRealSizes) {
  ExpectLookUpNear({{4096, 1024, 1024}, 512, 1, 15, 8}, 2);
  ExpectLookUpNear({{4096}, 1376, 2, 8, 8}, 2);
  ExpectLookUpNear({{4096}, 1376, 1, 15, 8}, 1);
}

// Inputs that do not fit shared memory at once.
TEST_P(CodebookKernelsTest, LookUpTakesInputsInPortions) {
  ExpectLookUpNear({{37}, 2752, 1, 15, 8}, 29);
  ExpectLookUpNear({{331}, 1376, 2, 12, 8}, 20);
  ExpectLookUpNear({{37}, 2752, 1, 16, 8}, 9);
}

TEST_P(CodebookKernelsTest, ExpandIsEqual) {
  for (const Case& of : {Case{{1}, 1, 1, 1, 8},
                         {{37, 5, 331}, 67, 1, 15, 8},
                         {{131}, 61, 4, 8, 8},
                         {{37}, 53, 2, 16, 16},
                         {{37}, 53, 2, 9, 4},
                         {{37}, 53, 2, 9, 3},
                         {{4096, 1024}, 512, 2, 12, 8}}) {
    const CodedProduct product = Random(of);
    const CodedProduct on_device = CopyTo(product, at::kCUDA);
    const at::Tensor want =
        at::empty({product.rows(), product.columns()}, at::TensorOptions().dtype(type()));
    const at::Tensor got = Poison(product.rows(), product.columns());
    kernels::CodebookExpandArgs args = product.ExpandArgs(GetParam());
    args.out = want.data_ptr();
    CheckKernel(ChooseGenerationKernels(at::kCPU)->codebook_expand(args, nullptr), "ref");
    args = on_device.ExpandArgs(GetParam());
    args.out = got.data_ptr();
    CheckKernel(ChooseGenerationKernels(at::kCUDA)->codebook_expand(args, nullptr), "cuda");
    EXPECT_TRUE(at::equal(got.cpu(), want)) << of.codebooks << "x" << of.bits;
  }
}

INSTANTIATE_TEST_SUITE_P(Types,
                         CodebookKernelsTest,
                         ::testing::Values(Element::kF16, Element::kBf16),
                         [](const auto& suite) {
                           return suite.param == Element::kF16 ? "F16" : "Bf16";
                         });

}  // namespace
}  // namespace bitsweep::engine
