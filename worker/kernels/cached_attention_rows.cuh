// What a warp makes of 16 tokens for an item's 16 query rows (cached_attention.cu): scores, weights,
// weighted sums, by matrix instructions. Device code of that one kernel. Thread rule: a warp,
// together.
//
// Why no ldmatrix and no transposition: the order of the summed index of a product is free. Lanes
// read 16 bytes of neighbouring dimensions of one key, and queries are loaded with the same order;
// of values they read neighbouring dimensions of the four tokens whose probabilities they already
// hold, and pair them by byte permutations.
#pragma once

#include <cstdint>

#include "worker/kernels/cached_attention.h"
#include "worker/kernels/cached_attention_queue.cuh"
#include "worker/kernels/element.cuh"
#include "worker/kernels/matrix_instruction.cuh"

namespace bitsweep::kernels::attention {

// Two values as one word, the first in the low half.
template <typename T>
__device__ inline std::uint32_t Pair(float low, float high) {
  const Pack<T, 2> pair = {{FromFloat<T>(low), FromFloat<T>(high)}};
  return *reinterpret_cast<const std::uint32_t*>(&pair);
}

// The queries of the item's 16 rows, in the order in which lanes load keys: for each chunk of 32
// dimensions two fragments.
template <typename T, int D>
struct Queries {
  uint4 low[Lanes<D>::kKeyChunks];   // Row `octet`.
  uint4 high[Lanes<D>::kKeyChunks];  // Row `octet` + 8.
};

// A warp's rows so far: the greatest score, its lane's share of the weights, the weighted sums. [0]
// is row `octet`, [1] row `octet` + 8.
template <int D>
struct Rows {
  float greatest[2] = {-INFINITY, -INFINITY};
  float weight[2] = {0.0F, 0.0F};
  float sums[D / 8][4] = {};
};

template <typename T, int D>
__device__ void LoadQueries(const CachedAttentionArgs& a,
                            const AttentionItemRow* rows,
                            int row_count,
                            int kv_head,
                            Queries<T, D>& queries) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int group = static_cast<int>(a.heads / a.kv_heads);
#pragma unroll
  for (int side = 0; side < 2; ++side) {
    const int i = lane / 4 + 8 * side;
    uint4* out = side == 0 ? queries.low : queries.high;
    const bool real = i < row_count * group;
    const T* from = static_cast<const T*>(a.q);
    if (real) {
      from += rows[i / group].row * a.q_stride + (kv_head * group + i % group) * D + lane % 4 * 8;
    }
#pragma unroll
    for (int c = 0; c < Lanes<D>::kKeyChunks; ++c) {
      out[c] = real ? *reinterpret_cast<const uint4*>(from + c * 32) : make_uint4(0, 0, 0, 0);
    }
  }
}

// scores[tile][0, 1] of row `octet`, [2, 3] of row `octet` + 8, against keys 8 tile + 2 quad, + 1.
template <typename T, int D>
__device__ void Score(const Queries<T, D>& queries,
                      const unsigned char* stage,
                      float (&scores)[2][4]) {
  const uint4* keys = reinterpret_cast<const uint4*>(stage);
  const int octet = static_cast<int>(threadIdx.x) % 32 / 4;
  const int quad = static_cast<int>(threadIdx.x) % 4;
#pragma unroll
  for (int tile = 0; tile < 2; ++tile) {
#pragma unroll
    for (int c = 0; c < Lanes<D>::kKeyChunks; ++c) {
      const uint4 key = keys[Lanes<D>::KeyPiece(8 * tile + octet, c * 4 + quad)];
      const uint4& low = queries.low[c];
      const uint4& high = queries.high[c];
      Multiply(T{}, scores[tile], Fragment{{low.x, high.x, low.y, high.y}}, key.x, key.y);
      Multiply(T{}, scores[tile], Fragment{{low.z, high.z, low.w, high.w}}, key.z, key.w);
    }
  }
}

// Scores become weights; greatest, weight and sums are brought to the new greatest.
template <int D>
__device__ void Weigh(float scale, int left, float (&scores)[2][4], Rows<D>& rows) {
  const int quad = static_cast<int>(threadIdx.x) % 4;
  float factor[2];
#pragma unroll
  for (int side = 0; side < 2; ++side) {
    float greatest = rows.greatest[side];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float& score = scores[i / 2][2 * side + i % 2];
      score = 8 * (i / 2) + 2 * quad + i % 2 < left ? score * scale : -INFINITY;
      greatest = fmaxf(greatest, score);
    }
    greatest = fmaxf(greatest, __shfl_xor_sync(0xffffffffU, greatest, 1));
    greatest = fmaxf(greatest, __shfl_xor_sync(0xffffffffU, greatest, 2));
    factor[side] = exp2f(rows.greatest[side] - greatest);
    rows.greatest[side] = greatest;
    float weight = rows.weight[side] * factor[side];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float& score = scores[i / 2][2 * side + i % 2];
      score = exp2f(score - greatest);
      weight += score;
    }
    rows.weight[side] = weight;
  }
  if (__any_sync(0xffffffffU, factor[0] != 1.0F || factor[1] != 1.0F)) {
#pragma unroll
    for (int i = 0; i < D / 8; ++i) {
      rows.sums[i][0] *= factor[0];
      rows.sums[i][1] *= factor[0];
      rows.sums[i][2] *= factor[1];
      rows.sums[i][3] *= factor[1];
    }
  }
}

// Tile c * width + j of the sums holds dimensions c * 8 * width + column * width + j.
template <typename T, int D>
__device__ void AddValues(const unsigned char* stage, const float (&weights)[2][4], Rows<D>& rows) {
  using L = Lanes<D>;
  constexpr int kWords = L::kValueWidth / 2;
  using Words = Pack<std::uint32_t, kWords>;
  const unsigned char* values = stage + L::kKeyBytes;
  const int octet = static_cast<int>(threadIdx.x) % 32 / 4;
  const int quad = static_cast<int>(threadIdx.x) % 4;
  const Fragment a = {{Pair<T>(weights[0][0], weights[0][1]),
                       Pair<T>(weights[0][2], weights[0][3]),
                       Pair<T>(weights[1][0], weights[1][1]),
                       Pair<T>(weights[1][2], weights[1][3])}};
#pragma unroll
  for (int c = 0; c < L::kValueChunks; ++c) {
    Words of[4];
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const int row = 2 * quad + (k & 1) + 8 * (k >> 1);
      const int byte = (c * 8 + octet) * L::kValueWidth * 2;  // In the row.
      of[k] = *reinterpret_cast<const Words*>(values + L::ValuePiece(row, byte / 16) * 16 +
                                              byte % 16);
    }
#pragma unroll
    for (int w = 0; w < kWords; ++w) {
      float(&even)[4] = rows.sums[c * L::kValueWidth + 2 * w];
      float(&odd)[4] = rows.sums[c * L::kValueWidth + 2 * w + 1];
      Multiply(T{},
               even,
               a,
               __byte_perm(of[0].values[w], of[1].values[w], 0x5410),
               __byte_perm(of[2].values[w], of[3].values[w], 0x5410));
      Multiply(T{},
               odd,
               a,
               __byte_perm(of[0].values[w], of[1].values[w], 0x7632),
               __byte_perm(of[2].values[w], of[3].values[w], 0x7632));
    }
  }
}

// Leaves the warp's rows in shared memory: sums [rows, D] and scales [rows, 2].
template <int D>
__device__ void Leave(const Rows<D>& rows, int row_count, float* sums, float (*scales)[2]) {
  constexpr int kWidth = Lanes<D>::kValueWidth;
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int side = 0; side < 2; ++side) {
    float weight = rows.weight[side];
    weight += __shfl_xor_sync(0xffffffffU, weight, 1);
    weight += __shfl_xor_sync(0xffffffffU, weight, 2);
    const int row = lane / 4 + 8 * side;
    if (row >= row_count) {
      continue;
    }
    if (lane % 4 == 0) {
      scales[row][0] = rows.greatest[side];
      scales[row][1] = weight;
    }
#pragma unroll
    for (int i = 0; i < D / 8; ++i) {
      const int dim = i / kWidth * 8 * kWidth + 2 * (lane % 4) * kWidth + i % kWidth;
      sums[row * D + dim] = rows.sums[i][2 * side];
      sums[row * D + dim + kWidth] = rows.sums[i][2 * side + 1];
    }
  }
}

}  // namespace bitsweep::kernels::attention
