#include "worker/kernels/codebook_expand.h"
#include "worker/kernels/element.cuh"
#include "worker/kernels/launch.cuh"

namespace bitsweep::kernels {
namespace {

constexpr int kThreads = 256;

struct Part {
  const void* codes;
  const __half* table;
  const float* scales;
  int O;
  int first_row;  // In the output.
};

struct Work {
  Part parts[kCodebookPartsMax];
  int count;
  int I, stride, M, K, g;
  void* out;
};

template <typename Code>
__device__ inline std::int64_t EntryOf(const Work& w, const Part& part, int o, int j, int m) {
  const auto* codes = static_cast<const Code*>(part.codes);
  const std::int64_t at = (static_cast<std::int64_t>(m) * part.O + o) * w.stride + j;
  return static_cast<std::int64_t>(m) * w.K + (__ldg(codes + at) & (w.K - 1));
}

// A block takes a row, a thread some of its groups, each as packs of N weights.
template <typename T, typename Code, int N>
__global__ void __launch_bounds__(kThreads) ExpandRow(const __grid_constant__ Work w) {
  const int row = static_cast<int>(blockIdx.x);
  int p = 0;
  while (p + 1 < w.count && row >= w.parts[p + 1].first_row) {
    ++p;
  }
  const Part& part = w.parts[p];
  const int o = row - part.first_row;
  const float scale = __ldg(part.scales + o);
  const int packs = w.g / N;  // Of a group.
  auto* out = static_cast<Pack<T, N>*>(w.out) + static_cast<std::int64_t>(row) * w.I * packs;
  for (int j = static_cast<int>(threadIdx.x); j < w.I; j += kThreads) {
    for (int pack = 0; pack < packs; ++pack) {
      float sums[N] = {};
      for (int m = 0; m < w.M; ++m) {
        const std::int64_t entry = EntryOf<Code>(w, part, o, j, m);
        const auto piece =
            reinterpret_cast<const Pack<__half, N>*>(part.table)[entry * packs + pack];
#pragma unroll
        for (int n = 0; n < N; ++n) {
          sums[n] += ToFloat(piece.values[n]);
        }
      }
      Pack<T, N> values;
#pragma unroll
      for (int n = 0; n < N; ++n) {
        values.values[n] = FromFloat<T>(Rounded<__half>(scale * sums[n]));
      }
      out[static_cast<std::int64_t>(j) * packs + pack] = values;
    }
  }
}

template <typename T, typename Code>
void Launch(const Work& work, int rows, DeviceStream stream) {
  const auto grid = static_cast<unsigned>(rows);
  if (work.g % 8 == 0) {
    ExpandRow<T, Code, 8><<<grid, kThreads, 0, stream>>>(work);
  } else if (work.g % 4 == 0) {
    ExpandRow<T, Code, 4><<<grid, kThreads, 0, stream>>>(work);
  } else {
    ExpandRow<T, Code, 1><<<grid, kThreads, 0, stream>>>(work);
  }
}

}  // namespace

KernelStatus CodebookExpandCuda(const CodebookExpandArgs& args, DeviceStream stream) {
  const CodebookShape& n = args.shape;
  if (!n.Valid() || args.count < 1 || args.count > kCodebookPartsMax || !Aligned(args.out, 16)) {
    return KernelStatus::kBadShape;
  }
  Work work{};
  work.count = args.count;
  work.I = static_cast<int>(n.I);
  work.stride = static_cast<int>(n.stride());
  work.M = static_cast<int>(n.M);
  work.K = static_cast<int>(n.K());
  work.g = static_cast<int>(n.g);
  work.out = args.out;
  int rows = 0;
  for (int i = 0; i < args.count; ++i) {
    const CodebookMatrix& part = args.parts[i];
    if (part.O < 1 || !Aligned(part.table, 16)) {
      return KernelStatus::kBadShape;
    }
    work.parts[i] = {part.codes,
                     static_cast<const __half*>(part.table),
                     part.scales,
                     static_cast<int>(part.O),
                     rows};
    rows += static_cast<int>(part.O);
  }
  WithElement(args.element, [&](auto zero) {
    using T = decltype(zero);
    if (n.code_bytes() == 1) {
      Launch<T, std::uint8_t>(work, rows, stream);
    } else {
      Launch<T, std::uint16_t>(work, rows, stream);
    }
  });
  return LaunchStatus();
}

}  // namespace bitsweep::kernels
