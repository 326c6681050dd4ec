// The inner loop of the arg-min over candidates, shared by the search over codes and k-means:
// score_k = norm_k - C_k . v for 8 T rows of a warp against a range of candidates. Scores live in
// registers only: 128 of them cost a warp two matrix instructions and four minima. Candidates are
// the A operand and norms the C operand, both read from memory as the instruction takes them, so
// that nothing is moved between registers in the loop (with the operands the other way round, moves
// were two thirds of it). It keeps, for each row and each of the eight lanes that share it, the
// lowest score and the chunk it was seen in; the caller scores those candidates again, exactly.
// For .cu files only. Thread rule: device functions, called by whole warps.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

#include "worker/kernels/candidate_tiles.h"

namespace bitsweep::kernels::scan {

constexpr float kInfinity = __builtin_huge_valf();

// -v of 8 T rows as the B operand of m16n8k16: lane (g = lane / 4, t = lane % 4) holds values 2t,
// 2t+1 of row g of each tile of 8. The hi half stands twice, for both halves of a candidate.
template <int T>
struct RowFragments {
  std::uint32_t hi[T][2];
  std::uint32_t lo[T];

  __device__ void Set(int t, std::uint32_t high, std::uint32_t low) {
    hi[t][0] = high;
    // A copy that the compiler does not see through: it would otherwise make it again before every
    // instruction.
    hi[t][1] = __shfl_sync(0xffffffffU, high, static_cast<int>(threadIdx.x % 32));
    lo[t] = low;
  }
};

struct Split {
  __half hi;
  __half lo;
};

// Half a range below the largest half: such a value wins or loses by far more than rounding.
__device__ inline Split SplitHalf(float value) {
  const float bounded = fminf(fmaxf(value, -60000.0F), 60000.0F);
  const __half hi = __float2half_rn(bounded);
  return {hi, __float2half_rn(bounded - __half2float(hi))};
}

__device__ inline std::uint32_t PackHalves(__half low, __half high) {
  return static_cast<std::uint32_t>(__half_as_ushort(low)) |
         (static_cast<std::uint32_t>(__half_as_ushort(high)) << 16);
}

// d = norms - c . v for 16 candidates and 8 rows.
__device__ inline void ScoreTile(uint4 candidates,
                                 float4 norms,
                                 const std::uint32_t (&hi)[2],
                                 std::uint32_t lo,
                                 float (&d)[4]) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %11, %12, %13};\n"
      : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
      : "r"(candidates.x),
        "r"(candidates.y),
        "r"(candidates.z),
        "r"(candidates.w),
        "r"(hi[0]),
        "r"(hi[1]),
        "f"(norms.x),
        "f"(norms.y),
        "f"(norms.z),
        "f"(norms.w));
  asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 "
      "{%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};\n"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(candidates.x), "r"(candidates.y), "r"(lo));
}

// Lowest score and its chunk: [tile of rows][row 2t or 2t + 1] among this lane's candidates, which
// are g and g + 8 of each tile.
template <int T>
struct Lowest {
  float score[T][2];
  int chunk[T][2];
};

// Scans chunks [begin, end) of CH tiles. Without chunks the result is (infinity, begin).
template <int T, int CH>
__device__ inline void Scan(const RowFragments<T>& rows,
                            const uint4* __restrict__ tiles,
                            const float* __restrict__ norms,
                            int begin,
                            int end,
                            Lowest<T>* lowest) {
  constexpr int kBatch = 2;  // Tiles loaded while the batch before is scored.
  static_assert(CH % kBatch == 0);
  const int lane = static_cast<int>(threadIdx.x % 32);
  const uint4* tile = tiles + static_cast<std::int64_t>(begin) * CH * 32 + lane;
  const float4* norm = reinterpret_cast<const float4*>(norms) +
                       static_cast<std::int64_t>(begin) * CH * 8 + lane / 4;
#pragma unroll
  for (int t = 0; t < T; ++t) {
    lowest->score[t][0] = lowest->score[t][1] = kInfinity;
    lowest->chunk[t][0] = lowest->chunk[t][1] = begin;
  }
  if (begin >= end) {
    return;
  }
  uint4 next_candidates[kBatch];
  float4 next_norms[kBatch];
#pragma unroll
  for (int i = 0; i < kBatch; ++i) {
    next_candidates[i] = __ldg(tile + i * 32);
    next_norms[i] = __ldg(norm + i * 8);
  }
  for (int chunk = begin; chunk < end; ++chunk) {
    float low[T][2];
#pragma unroll
    for (int t = 0; t < T; ++t) {
      low[t][0] = low[t][1] = kInfinity;
    }
#pragma unroll
    for (int batch = 0; batch < CH / kBatch; ++batch) {
      uint4 candidates[kBatch];
      float4 own_norms[kBatch];
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        candidates[i] = next_candidates[i];
        own_norms[i] = next_norms[i];
      }
      tile += kBatch * 32;
      norm += kBatch * 8;
      if (batch + 1 < CH / kBatch || chunk + 1 < end) {
#pragma unroll
        for (int i = 0; i < kBatch; ++i) {
          next_candidates[i] = __ldg(tile + i * 32);
          next_norms[i] = __ldg(norm + i * 8);
        }
      }
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
#pragma unroll
        for (int t = 0; t < T; ++t) {
          float d[4];
          ScoreTile(candidates[i], own_norms[i], rows.hi[t], rows.lo[t], d);
          low[t][0] = fminf(low[t][0], fminf(d[0], d[2]));
          low[t][1] = fminf(low[t][1], fminf(d[1], d[3]));
        }
      }
    }
#pragma unroll
    for (int t = 0; t < T; ++t) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const bool better = low[t][i] < lowest->score[t][i];
        lowest->score[t][i] = better ? low[t][i] : lowest->score[t][i];
        lowest->chunk[t][i] = better ? chunk : lowest->chunk[t][i];
      }
    }
  }
}

// A score and what it belongs to, in one number: lower score first, then lower index.
__device__ inline std::uint64_t Key(float score, std::uint32_t index) {
  const std::uint32_t bits = __float_as_uint(score);
  const std::uint32_t ordered = (bits & 0x80000000U) != 0U ? ~bits : bits | 0x80000000U;
  return (static_cast<std::uint64_t>(ordered) << 32) | index;
}

__device__ inline std::uint64_t LowerKey(std::uint64_t a, std::uint64_t b) {
  return a < b ? a : b;
}

// The lowest key of the eight lanes that are STRIDE apart and share a row: 4 after a scan (they
// have the row's candidates), 1 where eight neighbours have a row.
template <int STRIDE>
__device__ inline std::uint64_t LowestKey(std::uint64_t key) {
#pragma unroll
  for (int offset = STRIDE; offset < 8 * STRIDE; offset *= 2) {
    key = LowerKey(key, __shfl_xor_sync(0xffffffffU, key, offset));
  }
  return key;
}

// What Key's index names after a scan: the chunk and which candidates of its tiles (lane / 4).
__device__ inline std::uint32_t ChunkIndex(int chunk, int lane) {
  return static_cast<std::uint32_t>(chunk) * 8U + static_cast<std::uint32_t>(lane / 4);
}

// The n-th of the 2 CH candidates behind a chunk index.
template <int CH>
__device__ inline int CandidateOf(std::uint32_t chunk_index, int n) {
  return (static_cast<int>(chunk_index / 8U) * CH + n / 2) * static_cast<int>(kTileCandidates) +
         static_cast<int>(chunk_index % 8U) + n % 2 * 8;
}

// norm - c . v, in one fixed order of f32 operations.
__device__ inline float ExactScore(const float4* __restrict__ centroid,
                                   float norm,
                                   const float (&v)[8]) {
  const float4 a = __ldg(centroid);
  const float4 b = __ldg(centroid + 1);
  float score = norm;
  score = fmaf(-a.x, v[0], score);
  score = fmaf(-a.y, v[1], score);
  score = fmaf(-a.z, v[2], score);
  score = fmaf(-a.w, v[3], score);
  score = fmaf(-b.x, v[4], score);
  score = fmaf(-b.y, v[5], score);
  score = fmaf(-b.z, v[6], score);
  score = fmaf(-b.w, v[7], score);
  return score;
}

}  // namespace bitsweep::kernels::scan
