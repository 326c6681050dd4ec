// The matrix instruction of 16-bit types, for .cu files only. Of a warp's lane with t = lane % 4 and
// r = lane / 4, a fragment of a [16, 16] holds, as pairs of neighbours, (row r, columns 2t), (row r + 8,
// columns 2t), (row r, columns 2t + 8), (row r + 8, columns 2t + 8); b [16, 8] as (rows 2t, column r),
// (rows 2t + 8, column r); c [16, 8] as (row r, columns 2t, 2t + 1), (row r + 8, the same) (PTX ISA,
// "mma.m16n8k16"). Thread rule: all lanes of a warp together.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

namespace bitsweep::kernels {

struct Fragment {
  std::uint32_t words[4];
};

// c [16, 8] += a [16, 16] * b [16, 8]
__device__ inline void Multiply(
    __half, float (&c)[4], const Fragment& a, std::uint32_t b0, std::uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a.words[0]), "r"(a.words[1]), "r"(a.words[2]), "r"(a.words[3]), "r"(b0), "r"(b1));
}
__device__ inline void Multiply(
    __nv_bfloat16, float (&c)[4], const Fragment& a, std::uint32_t b0, std::uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
      "{%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a.words[0]), "r"(a.words[1]), "r"(a.words[2]), "r"(a.words[3]), "r"(b0), "r"(b1));
}

}  // namespace bitsweep::kernels
