// By tensor operations as by plain loops. Here on the CPU; a GPU's is compared in linear_cuda_test.
#include "worker/engine/quantize/code_beam_search.h"

#include <gtest/gtest.h>

#include "tests/kernels/search_problem.h"

namespace bitsweep::engine {
namespace {

TEST(BeamSearchSweepTest, TakesTheReferencesCodes) {
  for (const int beam : {1, 4, 64}) {
    for (const kernels::CodeShape& shape :
         {kernels::CodeShape{.O = 1, .I = 1, .M = 1, .K = 2, .g = 1},
          kernels::CodeShape{.O = 7, .I = 5, .M = 2, .K = 11, .g = 8}}) {
      kernels::SearchProblem fast(shape, 4);
      kernels::SearchProblem plain(shape, 4);
      BeamSearchSweep(fast.Args(1), beam, at::kCPU);
      kernels::CodeBeamSweepRef(plain.Args(1), beam);
      EXPECT_EQ(fast.codes, plain.codes) << beam;
      for (std::size_t i = 0; i < plain.product.size(); ++i) {
        EXPECT_NEAR(fast.product[i], plain.product[i], 2e-3);
      }
    }
  }
}

}  // namespace
}  // namespace bitsweep::engine
