#include "worker/kernels/dequantize.h"

#include "worker/kernels/parallel.h"

namespace bitsweep::kernels {
namespace {

constexpr std::int64_t kRowGrain = 16;

// G is a constant where it can be (g = 8 in every study configuration), so that a group's sum stays
// in registers.
template <std::int64_t G>
void Rows(const DequantizeArgs& args, std::int64_t begin, std::int64_t end) {
  const CodeShape& n = args.shape;
  for (std::int64_t o = begin; o < end; ++o) {
    const std::int32_t* codes = args.codes + o * n.I * n.M;
    float* out = args.out + o * n.I * G;
    for (std::int64_t j = 0; j < n.I; ++j, codes += n.M, out += G) {
      float sum[G] = {};
      for (std::int64_t m = 0; m < n.M; ++m) {
        const float* entry = args.codebooks + (m * n.K + codes[m]) * G;
        for (std::int64_t d = 0; d < G; ++d) {
          sum[d] += entry[d];
        }
      }
      for (std::int64_t d = 0; d < G; ++d) {
        out[d] = args.scales[o] * sum[d];
      }
    }
  }
}

}  // namespace

KernelStatus Dequantize(const DequantizeArgs& args) {
  if (!args.shape.Valid()) {
    return KernelStatus::kBadShape;
  }
  if (args.shape.g != 8) {
    return DequantizeRef(args);
  }
  ParallelFor(args.shape.O, kRowGrain, args.threads, [&](std::int64_t begin, std::int64_t end) {
    Rows<8>(args, begin, end);
  });
  return KernelStatus::kOk;
}

}  // namespace bitsweep::kernels
