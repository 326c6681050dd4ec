#include "worker/kernels/nearest_centroid.h"

#include "worker/kernels/candidate_scan.cuh"
#include "worker/kernels/launch.cuh"
#include "worker/kernels/magnitude.cuh"

namespace bitsweep::kernels {
namespace {

using scan::Key;
using scan::Lowest;
using scan::LowestKey;
using scan::RowFragments;
using scan::Split;

constexpr int kWarps = 8;
constexpr int kRowTiles = 8;  // Tiles of 8 points a warp.
constexpr int kPointsPerBlock = kWarps * kRowTiles * 8;

struct Workspace {
  std::uint32_t* tiles;
  float* norms;
  float* centroid_scale;  // [2]
  float* point_scale;     // [1]: the largest magnitude
};

Workspace Carve(void* memory, std::int64_t padded) {
  auto* tiles = static_cast<std::uint32_t*>(memory);
  auto* norms = reinterpret_cast<float*>(tiles + padded * 8);
  return {tiles, norms, norms + padded * 2, norms + padded * 2 + 2};
}

// Points are scaled to below this, so that half an ulp of a half is small beside every one of them.
constexpr float kPointTarget = 1.0F;

__global__ void HalfSquares(int centroids,
                            int padded,
                            const float* __restrict__ c,
                            const float* __restrict__ centroid_scale,
                            const float* __restrict__ point_scale,
                            float* __restrict__ norms) {
  const int k = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (k >= padded) {
    return;
  }
  float square = 0.0F;
  for (int d = 0; d < 8 && k < centroids; ++d) {
    square = fmaf(c[k * 8 + d], c[k * 8 + d], square);
  }
  const float scale = centroid_scale[1] * PowerOfTwoFor(point_scale[0], kPointTarget);
  const float norm = k < centroids ? 0.5F * square * scale : kPaddingScore;
  norms[NormPlace(k)] = norms[NormPlace(k) + 1] = norm;
}

struct AssignArgs {
  std::int64_t points;
  int chunks;
  const float* x;
  const float* c;
  const uint4* tiles;
  const float* norms;
  const float* centroid_scale;
  const float* point_scale;
  std::int32_t* assignment;
};

__device__ RowFragments<kRowTiles> LoadPoints(const AssignArgs& args,
                                              std::int64_t first,
                                              float scale) {
  RowFragments<kRowTiles> rows;
  const int lane = static_cast<int>(threadIdx.x % 32);
#pragma unroll
  for (int t = 0; t < kRowTiles; ++t) {
    const std::int64_t point = first + t * 8 + lane / 4;
    float2 value = {0.0F, 0.0F};
    if (point < args.points) {
      value = *reinterpret_cast<const float2*>(args.x + point * 8 + lane % 4 * 2);
    }
    const Split a = scan::SplitHalf(-value.x * scale);
    const Split b = scan::SplitHalf(-value.y * scale);
    rows.Set(t, scan::PackHalves(a.hi, b.hi), scan::PackHalves(a.lo, b.lo));
  }
  return rows;
}

// A warp takes 64 points through all candidates, then scores each point's best chunk exactly. Two
// blocks a multiprocessor hide the latency of each other's matrix instructions (a few spilled
// registers cost less: 14.0 ms a pass over 2.1 million points at 32,768 centroids, 10.7 so).
template <int CH>
__global__ void __launch_bounds__(kWarps * 32, 2) Assign(AssignArgs args) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * kPointsPerBlock +
                             static_cast<std::int64_t>(threadIdx.x / 32) * kRowTiles * 8;
  if (first >= args.points) {
    return;
  }
  const float point_scale = PowerOfTwoFor(args.point_scale[0], kPointTarget);
  const RowFragments<kRowTiles> rows = LoadPoints(args, first, point_scale);
  Lowest<kRowTiles> lowest;
  scan::Scan<kRowTiles, CH>(rows, args.tiles, args.norms, 0, args.chunks, &lowest);
  const float scale = args.centroid_scale[1] * point_scale;
#pragma unroll
  for (int t = 0; t < kRowTiles; ++t) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const auto found = static_cast<std::uint32_t>(
          LowestKey<4>(Key(lowest.score[t][i], scan::ChunkIndex(lowest.chunk[t][i], lane))));
      const std::int64_t point = first + t * 8 + lane % 4 * 2 + i;
      float v[8] = {};
      if (point < args.points) {
#pragma unroll
        for (int d = 0; d < 8; ++d) {
          v[d] = args.x[point * 8 + d] * scale;
        }
      }
      std::uint64_t best = ~std::uint64_t{0};
#pragma unroll
      for (int n = lane / 4; n < 2 * CH; n += 8) {
        const int k = scan::CandidateOf<CH>(found, n);
        const float norm = __ldg(args.norms + NormPlace(k));
        if (norm < kPaddingScore) {
          const float score =
              scan::ExactScore(reinterpret_cast<const float4*>(args.c) + k * 2, norm, v);
          best = scan::LowerKey(best, Key(score, static_cast<std::uint32_t>(k)));
        }
      }
      best = LowestKey<4>(best);
      if (lane / 4 == 0 && point < args.points) {
        // No candidate compares below a NaN; such a point takes the first, and its loss tells.
        args.assignment[point] =
            best == ~std::uint64_t{0} ? 0 : static_cast<std::int32_t>(best & 0xffffffffU);
      }
    }
  }
}

}  // namespace

std::int64_t NearestCentroidWorkspaceBytes(std::int64_t centroids) {
  return PaddedToChunks(centroids) * 40 + 64;
}

KernelStatus NearestCentroidCuda(const NearestCentroidArgs& args,
                                 void* workspace,
                                 DeviceStream stream) {
  if (args.points < 0 || args.centroids <= 0 || args.group != kDeviceGroup) {
    return KernelStatus::kBadShape;
  }
  if (args.points == 0) {
    return KernelStatus::kOk;
  }
  const std::int64_t padded = PaddedToChunks(args.centroids);
  const Workspace space = Carve(workspace, padded);
  KernelStatus status = PackCandidateTilesCuda({.candidates = args.centroids,
                                                .centroids = args.c,
                                                .tiles = space.tiles,
                                                .scale = space.centroid_scale},
                                               stream);
  if (status == KernelStatus::kOk) {
    status =
        QueueLargestMagnitude(args.points * kDeviceGroup, args.x, space.point_scale, stream);
  }
  if (status != KernelStatus::kOk) {
    return status;
  }
  HalfSquares<<<Blocks(padded, 256), 256, 0, stream>>>(static_cast<int>(args.centroids),
                                                       static_cast<int>(padded),
                                                       args.c,
                                                       space.centroid_scale,
                                                       space.point_scale,
                                                       space.norms);
  const std::int64_t chunk_tiles = ChunkTiles(args.centroids);
  const AssignArgs assign{args.points,
                          static_cast<int>(padded / (chunk_tiles * kTileCandidates)),
                          args.x,
                          args.c,
                          reinterpret_cast<const uint4*>(space.tiles),
                          space.norms,
                          space.centroid_scale,
                          space.point_scale,
                          args.assignment};
  const unsigned blocks = Blocks(args.points, kPointsPerBlock);
  if (chunk_tiles == 8) {
    Assign<8><<<blocks, kWarps * 32, 0, stream>>>(assign);
  } else {
    Assign<2><<<blocks, kWarps * 32, 0, stream>>>(assign);
  }
  return LaunchStatus();
}

}  // namespace bitsweep::kernels
