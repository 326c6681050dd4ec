#include "worker/kernels/codebook_gradient.h"

#include <algorithm>

#include "worker/kernels/parallel.h"

namespace bitsweep::kernels {
namespace {

constexpr std::int64_t kEntryGrain = 64;

template <std::int64_t G>
void SumEntry(const float* x, const std::int32_t* positions, std::int64_t count, float* out) {
  // Two sums hide the latency of the additions; their order is fixed by the position in the list.
  float even[G] = {};
  float odd[G] = {};
  std::int64_t i = 0;
  for (; i + 2 <= count; i += 2) {
    const float* first = x + positions[i] * G;
    const float* second = x + positions[i + 1] * G;
    for (std::int64_t d = 0; d < G; ++d) {
      even[d] += first[d];
      odd[d] += second[d];
    }
  }
  for (; i < count; ++i) {
    for (std::int64_t d = 0; d < G; ++d) {
      even[d] += x[positions[i] * G + d];
    }
  }
  for (std::int64_t d = 0; d < G; ++d) {
    out[d] = even[d] + odd[d];
  }
}

void SumEntryAny(
    const float* x, const std::int32_t* positions, std::int64_t count, std::int64_t g, float* out) {
  std::fill(out, out + g, 0.0F);
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t d = 0; d < g; ++d) {
      out[d] += x[positions[i] * g + d];
    }
  }
}

}  // namespace

void CodeIndex::Build(const CodeShape& shape, const std::int32_t* codes, int threads) {
  shape_ = shape;
  const std::int64_t points = shape.O * shape.I;
  begins_.assign(static_cast<std::size_t>(shape.M * (shape.K + 1)), 0);
  positions_.resize(static_cast<std::size_t>(shape.M * points));
  ParallelFor(shape.M, 1, threads, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t m = first; m < last; ++m) {
      std::int32_t* begins = begins_.data() + m * (shape.K + 1);
      for (std::int64_t p = 0; p < points; ++p) {
        ++begins[codes[p * shape.M + m] + 1];
      }
      for (std::int64_t k = 0; k < shape.K; ++k) {
        begins[k + 1] += begins[k];
      }
      std::vector<std::int32_t> next(begins, begins + shape.K);
      std::int32_t* positions = positions_.data() + m * points;
      for (std::int64_t p = 0; p < points; ++p) {
        positions[next[static_cast<std::size_t>(codes[p * shape.M + m])]++] =
            static_cast<std::int32_t>(p);
      }
    }
  });
}

KernelStatus CodebookGradient(const CodebookGradientArgs& args) {
  const CodeShape& n = args.index->shape();
  if (!n.Valid()) {
    return KernelStatus::kBadShape;
  }
  ParallelFor(n.M * n.K, kEntryGrain, args.threads, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t entry = begin; entry < end; ++entry) {
      const std::int64_t m = entry / n.K;
      const std::int64_t k = entry % n.K;
      const std::int32_t* positions = args.index->Positions(m) + args.index->Begin(m, k);
      float* out = args.out + entry * n.g;
      if (n.g == 8) {
        SumEntry<8>(args.x, positions, args.index->Count(m, k), out);
      } else {
        SumEntryAny(args.x, positions, args.index->Count(m, k), n.g, out);
      }
    }
  });
  return KernelStatus::kOk;
}

}  // namespace bitsweep::kernels
