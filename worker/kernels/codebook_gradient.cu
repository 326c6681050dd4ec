#include "worker/kernels/codebook_gradient.h"

#include <cub/device/device_radix_sort.cuh>

#include "worker/kernels/entry_warps.cuh"
#include "worker/kernels/launch.cuh"

namespace bitsweep::kernels {
namespace {

constexpr int kThreads = 256;

// Sorting takes keys, positions, their sorted keys, and what the sort itself asks for.
struct SortSpace {
  std::int32_t* keys;
  std::int32_t* sorted;
  std::int32_t* positions;
  void* temporary;
};

std::int64_t Aligned(std::int64_t bytes) {
  return (bytes + 255) / 256 * 256;
}

SortSpace Carve(void* memory, std::int64_t points) {
  auto* bytes = static_cast<unsigned char*>(memory);
  const std::int64_t list = Aligned(points * 4);
  return {reinterpret_cast<std::int32_t*>(bytes),
          reinterpret_cast<std::int32_t*>(bytes + list),
          reinterpret_cast<std::int32_t*>(bytes + 2 * list),
          bytes + 3 * list};
}

int Bits(std::int64_t k) {
  int bits = 1;
  while ((std::int64_t{1} << bits) < k) {
    ++bits;
  }
  return bits;
}

cudaError_t Sort(const SortSpace& space,
                 std::size_t* bytes,
                 std::int64_t points,
                 std::int64_t k,
                 std::int32_t* out,
                 DeviceStream stream) {
  return cub::DeviceRadixSort::SortPairs(space.temporary,
                                         *bytes,
                                         space.keys,
                                         space.sorted,
                                         space.positions,
                                         out,
                                         static_cast<int>(points),
                                         0,
                                         Bits(k),
                                         stream);
}

__global__ void Keys(std::int64_t points,
                     int books,
                     int m,
                     const std::int32_t* __restrict__ codes,
                     std::int32_t* __restrict__ keys,
                     std::int32_t* __restrict__ positions) {
  const std::int64_t p = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (p < points) {
    keys[p] = codes[p * books + m];
    positions[p] = static_cast<std::int32_t>(p);
  }
}

// begins[k]: the first place whose key is not below k.
__global__ void Begins(std::int64_t points,
                       int entries,
                       const std::int32_t* __restrict__ sorted,
                       std::int32_t* __restrict__ begins) {
  const int k = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (k > entries) {
    return;
  }
  std::int64_t low = 0;
  std::int64_t high = points;
  while (low < high) {
    const std::int64_t middle = (low + high) / 2;
    if (sorted[middle] < k) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  begins[k] = static_cast<std::int32_t>(low);
}

// WARPS warps an entry; a warp takes four positions at a time, eight lanes each. Partial sums are
// joined in a fixed order.
template <int WARPS>
__global__ void SumEntries(DeviceCodeIndex index,
                           const float* __restrict__ x,
                           const float* __restrict__ row_scales,
                           float* __restrict__ out) {
  __shared__ float partial[kEntryWarps][8];
  const EntryShare share = ShareOf<WARPS>(index);
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int warp = static_cast<int>(threadIdx.x / 32);
  float sum = 0.0F;
  const int row = static_cast<int>(index.shape.I);
  for (int i = share.begin + share.part * 4 + lane / 8; i < share.end; i += WARPS * 4) {
    const int position = __ldg(share.positions + i);
    const float scale = row_scales == nullptr ? 1.0F : __ldg(row_scales + position / row);
    const std::int64_t from = index.copies == 1 ? position : position / index.copies;
    sum = fmaf(scale, __ldg(x + from * 8 + lane % 8), sum);
  }
  sum += __shfl_xor_sync(0xffffffffU, sum, 8);
  sum += __shfl_xor_sync(0xffffffffU, sum, 16);
  if (lane < 8) {
    partial[warp][lane] = sum;
  }
  __syncthreads();
  if (share.entry >= 0 && share.part == 0 && lane < 8) {
    for (int w = 1; w < WARPS; ++w) {
      sum += partial[warp + w][lane];
    }
    out[share.entry * 8 + lane] = sum;
  }
}

}  // namespace

std::int64_t CodeIndexWorkspaceBytes(const CodeShape& shape) {
  const std::int64_t points = shape.O * shape.I;
  std::size_t bytes = 0;
  SortSpace space{};
  if (Sort(space, &bytes, points, shape.K, nullptr, nullptr) != cudaSuccess) {
    return 0;
  }
  return 3 * Aligned(points * 4) + static_cast<std::int64_t>(bytes) + 256;
}

KernelStatus BuildCodeIndexCuda(const DeviceCodeIndex& index,
                                const std::int32_t* codes,
                                void* workspace,
                                DeviceStream stream) {
  const CodeShape& n = index.shape;
  const std::int64_t points = n.O * n.I;
  if (!n.Valid() || points >= (std::int64_t{1} << 31)) {
    return KernelStatus::kBadShape;
  }
  const SortSpace space = Carve(workspace, points);
  SortSpace nothing{};
  std::size_t bytes = 0;
  KernelStatus status = Checked(Sort(nothing, &bytes, points, n.K, nullptr, stream));
  for (std::int64_t m = 0; m < n.M && status == KernelStatus::kOk; ++m) {
    Keys<<<Blocks(points, kThreads), kThreads, 0, stream>>>(
        points, static_cast<int>(n.M), static_cast<int>(m), codes, space.keys, space.positions);
    status = Checked(Sort(space, &bytes, points, n.K, index.positions + m * points, stream));
    if (status == KernelStatus::kOk) {
      Begins<<<Blocks(n.K + 1, kThreads), kThreads, 0, stream>>>(
          points, static_cast<int>(n.K), space.sorted, index.begins + m * (n.K + 1));
      status = LaunchStatus();
    }
  }
  return status;
}

KernelStatus CodebookGradientCuda(const DeviceCodeIndex& index,
                                  const float* x,
                                  const float* row_scales,
                                  float* out,
                                  DeviceStream stream) {
  const CodeShape& n = index.shape;
  if (!n.Valid() || n.g != 8 || index.copies < 1 || n.O * n.I % index.copies != 0) {
    return KernelStatus::kBadShape;
  }
  if (OneWarpAnEntry(n)) {
    SumEntries<1><<<EntryBlocks<1>(n), kEntryWarps * 32, 0, stream>>>(index, x, row_scales, out);
  } else {
    SumEntries<kEntryWarps>
        <<<EntryBlocks<kEntryWarps>(n), kEntryWarps * 32, 0, stream>>>(index, x, row_scales, out);
  }
  return LaunchStatus();
}

}  // namespace bitsweep::kernels
