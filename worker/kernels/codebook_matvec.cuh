// The kernel of codebook_matvec.h. A warp multiplies 16 rows of W by 8, 16 or 32 rows of x with
// matrix instructions. Their sums may run over the weights in any order, so a lane looks up whole
// entries and uses them as its fragments: nothing is shuffled, converted or multiplied out.
//
//   a cluster: tiles of 16 rows of W, one after the other; its blocks share out codebooks and
//   slices a block:   its table, x in portions, 16 warps, of which `warps_a_tile` divide a tile's
//   groups a lane:    8 groups (of 32) of two rows; 4 lanes side by side have one row's 32
//
// The order of every sum depends on the shape and the number of clusters, never on the rows of x.
// Device code of that one kernel. Thread rule: all threads of a cluster, together.
#pragma once

#include <cooperative_groups.h>
#include <cstdint>
#include <type_traits>

#include "worker/kernels/codebook_matvec.h"
#include "worker/kernels/element.cuh"
#include "worker/kernels/launch.cuh"
#include "worker/kernels/matrix_instruction.cuh"

namespace bitsweep::kernels::codebook {

constexpr int kThreads = 512;
constexpr int kWarps = kThreads / 32;
constexpr int kTileRows = 16;
constexpr int kBlock = static_cast<int>(kCodeBlock);
constexpr int kColumns = 8;  // Rows of x that one instruction takes.
constexpr int kPieceBytes = 16;
constexpr int kPiecesBytes = 4 * kPieceBytes;  // Four lanes' side by side.
constexpr int kRowPadBytes = 64;  // Between rows of x in shared memory: the next row's other banks.
// Blocks of codes that are asked for before they are used; what else is in registers decides.
constexpr int Ahead(int column_tiles) {
  return column_tiles == 1 ? 4 : 2;
}
constexpr int kSharedBytesMax = 227 << 10;

struct Part {
  const void* codes;    // [M, O, stride]
  const __half* table;  // [g/D, M, K, D]
  const float* scales;  // [O]
  int O;
  int first_cluster;
  int first_column;  // In the output.
};

struct Work {
  Part parts[kCodebookPartsMax];
  int count;
  const void* x;  // [rows, I * g]
  void* out;      // [rows, width]
  int rows, width;
  int I, stride, M, K, g;
  int books, blocks, copies_shift;
  int table_bytes;
  int tiles_a_cluster, warps_a_tile;
  int chunk;  // Groups of x that are in shared memory at once, a multiple of kBlock.
};

// Of one lane and one row: 8 groups' codes.
template <typename Code>
struct Codes {
  static constexpr int kWords = 2 * sizeof(Code);
  std::uint32_t words[kWords];
  __device__ std::uint32_t at(int i) const {
    constexpr int kPerWord = 4 / sizeof(Code);
    return words[i / kPerWord] >> (8 * sizeof(Code) * (i % kPerWord));
  }
};

// Codes are read once: the first cache keeps what is read again.
__device__ inline void Load(const char* from, Codes<std::uint16_t>& codes) {
  asm volatile(
      "ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
      : "=r"(codes.words[0]), "=r"(codes.words[1]), "=r"(codes.words[2]), "=r"(codes.words[3])
      : "l"(from));
}
__device__ inline void Load(const char* from, Codes<std::uint8_t>& codes) {
  asm volatile("ld.global.nc.L1::no_allocate.v2.u32 {%0, %1}, [%2];"
               : "=r"(codes.words[0]), "=r"(codes.words[1])
               : "l"(from));
}

// Two f16 values as two of the type.
__device__ inline std::uint32_t Converted(__half, std::uint32_t pair) {
  return pair;
}
__device__ inline std::uint32_t Converted(__nv_bfloat16, std::uint32_t pair) {
  const __half2 halves = *reinterpret_cast<const __half2*>(&pair);
  const __nv_bfloat162 values = __float22bfloat162_rn(__half22float2(halves));
  return *reinterpret_cast<const std::uint32_t*>(&values);
}

template <int D>
using Entry = Pack<std::uint32_t, D / 2>;

// The block's slices of its codebooks, each `copies` times.
template <typename T, int D>
__device__ inline void FillTable(const Work& w, const __half* from, char* table) {
  const int pieces = w.books * w.K * D / 8;  // Of 16 bytes; K * D < 8 has one that is not whole.
  const auto* in = reinterpret_cast<const uint4*>(from);
  if (w.copies_shift == 0 && std::is_same_v<T, __half>) {
    for (int i = static_cast<int>(threadIdx.x); i < pieces; i += kThreads) {
      const auto to = static_cast<std::uint32_t>(__cvta_generic_to_shared(table + i * 16));
      asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(in + i) : "memory");
    }
    return;
  }
  const auto* entries = reinterpret_cast<const Entry<D>*>(from);
  auto* out = reinterpret_cast<Entry<D>*>(table);
  const int count = w.books * w.K;
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kThreads) {
    Entry<D> entry = entries[i];
#pragma unroll
    for (int n = 0; n < D / 2; ++n) {
      entry.values[n] = Converted(T{}, entry.values[n]);
    }
    for (int copy = 0; copy < 1 << w.copies_shift; ++copy) {
      out[(i << w.copies_shift) + copy] = entry;
    }
  }
}

// Slice `slice` of groups [begin, begin + groups) of x, in the order in which lanes read it: of
// each block of 32 groups lane t has 8, D pieces of 16 bytes, and piece p of all four lanes lies
// together.
template <typename T, int D, int NT>
__device__ inline void StageInputs(const Work& w, int slice, int begin, int groups, char* x) {
  const int row_bytes = groups * D * 2 + kRowPadBytes;
  const T* from = static_cast<const T*>(w.x) + static_cast<std::int64_t>(begin) * w.g + slice * D;
  for (int j = static_cast<int>(threadIdx.x); j < groups; j += kThreads) {
    const int t = j % kBlock / 8;
    const int at = j % 8 * D;  // Of the lane's 8 D weights.
    char* to = x + j / kBlock * (kBlock * D * 2) + at / 8 * kPiecesBytes + t * kPieceBytes +
               at % 8 * 2;
    Entry<D> values[kColumns];
#pragma unroll
    for (int nt = 0; nt < NT; ++nt) {
#pragma unroll
      for (int n = 0; n < kColumns; ++n) {
        const std::int64_t row = nt * kColumns + n;
        values[n] = {};
        if (row < w.rows && begin + j < w.I) {
          values[n] = *reinterpret_cast<const Entry<D>*>(from + (row * w.I + j) * w.g);
        }
      }
#pragma unroll
      for (int n = 0; n < kColumns; ++n) {
        *reinterpret_cast<Entry<D>*>(to + (nt * kColumns + n) * row_bytes) = values[n];
      }
    }
  }
}

template <typename T, int D, bool kShared>
__device__ inline Entry<D> Lookup(const Work& w, const char* table, std::uint32_t code) {
  code &= static_cast<std::uint32_t>(w.K - 1);
  if constexpr (kShared) {
    return *reinterpret_cast<const Entry<D>*>(table + ((code << w.copies_shift) * (D * 2)));
  } else {
    const char* from = table + code * (D * 2);
    Entry<D> entry;
    if constexpr (D == 8) {
      const uint4 values = __ldg(reinterpret_cast<const uint4*>(from));
      entry = {{values.x, values.y, values.z, values.w}};
    } else {
      const uint2 values = __ldg(reinterpret_cast<const uint2*>(from));
      entry = {{values.x, values.y}};
    }
#pragma unroll
    for (int n = 0; n < D / 2; ++n) {
      entry.values[n] = Converted(T{}, entry.values[n]);
    }
    return entry;
  }
}

// Adds 32 groups of one codebook. `x`: the lane's first piece of row lane / 4.
template <typename T, typename Code, int D, int NT, bool kShared>
__device__ inline void AddBlock(const Work& w,
                                const Codes<Code>& upper,
                                const Codes<Code>& lower,
                                const char* table,
                                const char* x,
                                int row_bytes,
                                float (&sums)[NT][4]) {
  constexpr int kEntries = 8 / D;  // Of a piece.
#pragma unroll
  for (int piece = 0; piece < D; ++piece) {
    uint4 inputs[NT];
#pragma unroll
    for (int nt = 0; nt < NT; ++nt) {
      inputs[nt] =
          *reinterpret_cast<const uint4*>(x + nt * kColumns * row_bytes + piece * kPiecesBytes);
    }
    std::uint32_t up[4], low[4];
#pragma unroll
    for (int e = 0; e < kEntries; ++e) {
      const Entry<D> u = Lookup<T, D, kShared>(w, table, upper.at(piece * kEntries + e));
      const Entry<D> l = Lookup<T, D, kShared>(w, table, lower.at(piece * kEntries + e));
#pragma unroll
      for (int i = 0; i < D / 2; ++i) {
        up[e * (D / 2) + i] = u.values[i];
        low[e * (D / 2) + i] = l.values[i];
      }
    }
#pragma unroll
    for (int nt = 0; nt < NT; ++nt) {
      Multiply(T{}, sums[nt], Fragment{{up[0], low[0], up[1], low[1]}}, inputs[nt].x, inputs[nt].y);
      Multiply(T{}, sums[nt], Fragment{{up[2], low[2], up[3], low[3]}}, inputs[nt].z, inputs[nt].w);
    }
  }
}

// What a warp goes through: the blocks of groups that are its own, in each all codebooks.
template <typename Code>
struct Steps {
  const char *upper, *lower;  // Codes of block 0 of the first codebook, this lane's.
  std::int64_t book_bytes;
  int block, end, stride;  // Blocks of kBlock groups.
  int book = 0, books;
  __device__ bool Done() const { return block >= end; }
  __device__ void Read(Codes<Code>& u, Codes<Code>& l) const {
    const std::int64_t at = book * book_bytes + block * static_cast<int>(kBlock * sizeof(Code));
    Load(upper + at, u);
    Load(lower + at, l);
  }
  __device__ void Prefetch() const {
    const std::int64_t at = book * book_bytes + block * static_cast<int>(kBlock * sizeof(Code));
    asm volatile("prefetch.global.L2 [%0];" ::"l"(upper + at));
    asm volatile("prefetch.global.L2 [%0];" ::"l"(lower + at));
  }
  __device__ void Next() {
    if (++book == books) {
      book = 0;
      block += stride;
    }
  }
};

// All of a warp's share of the chunk that begins at block `first`.
template <typename T, typename Code, int D, int NT, bool kShared>
__device__ inline void AddChunk(const Work& w,
                                Steps<Code> read,
                                int first,
                                const char* table,
                                const char* x,
                                int row_bytes,
                                float (&sums)[NT][4]) {
  constexpr int kAhead = Ahead(NT);
  Codes<Code> upper[kAhead + 1], lower[kAhead + 1];
  Steps<Code> use = read;
#pragma unroll
  for (int i = 0; i < kAhead; ++i) {
    if (!read.Done()) {
      read.Read(upper[i], lower[i]);
      read.Next();
    }
  }
  const int book_table = w.K * D * 2 << w.copies_shift;
  for (; !use.Done(); use.Next()) {
    if (!read.Done()) {
      read.Read(upper[kAhead], lower[kAhead]);
      read.Next();
    }
    AddBlock<T, Code, D, NT, kShared>(w,
                                      upper[0],
                                      lower[0],
                                      table + use.book * book_table,
                                      x + (use.block - first) * (kBlock * D * 2),
                                      row_bytes,
                                      sums);
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      upper[i] = upper[i + 1];
      lower[i] = lower[i + 1];
    }
  }
}

// What is one cluster's: rows [first_tile * 16, ...) of one part.
struct Share {
  const Part* part;
  int first_tile, tiles;
};

__device__ inline Share ShareOf(const Work& w, int cluster) {
  int p = 0;
  while (p + 1 < w.count && cluster >= w.parts[p + 1].first_cluster) {
    ++p;
  }
  const Part& part = w.parts[p];
  const int first = (cluster - part.first_cluster) * w.tiles_a_cluster;
  const int left = (part.O + kTileRows - 1) / kTileRows - first;
  return {&part, first, left < w.tiles_a_cluster ? left : w.tiles_a_cluster};
}

// A warp's sums to where JoinAndStore reads them.
template <int NT>
__device__ inline void KeepSums(const float (&sums)[NT][4], float* joined) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  float* own = joined + (warp * kTileRows + lane / 4) * (NT * kColumns) + lane % 4 * 2;
#pragma unroll
  for (int nt = 0; nt < NT; ++nt) {
    *reinterpret_cast<float2*>(own + nt * kColumns) = {sums[nt][0], sums[nt][1]};
    *reinterpret_cast<float2*>(own + nt * kColumns + 8 * NT * kColumns) = {sums[nt][2],
                                                                           sums[nt][3]};
  }
}

// Sums of all warps and blocks for `tiles` tiles from row `first_row` on, each block some of them.
template <typename T, int NT>
__device__ inline void JoinAndStore(
    const Work& w, const Part& part, int first_row, int tiles, float* sums) {
  namespace cg = cooperative_groups;
  const auto cluster = cg::this_cluster();
  constexpr int kWidth = NT * kColumns;
  const int rows = tiles * kTileRows;
  const int rank = static_cast<int>(cluster.block_rank());
  for (int i = rank * kThreads + static_cast<int>(threadIdx.x); i < rows * w.rows;
       i += w.blocks * kThreads) {
    const int row = i % rows;
    const int n = i / rows;
    if (first_row + row >= part.O) {
      continue;
    }
    const int at = (row / kTileRows * w.warps_a_tile * kTileRows + row % kTileRows) * kWidth + n;
    float sum = 0.0F;
    for (int block = 0; block < w.blocks; ++block) {
      const float* of = w.blocks == 1 ? sums : cluster.map_shared_rank(sums, block);
      for (int warp = 0; warp < w.warps_a_tile; ++warp) {
        sum += of[at + warp * (kTileRows * kWidth)];
      }
    }
    static_cast<T*>(
        w.out)[static_cast<std::int64_t>(n) * w.width + part.first_column + first_row + row] =
        FromFloat<T>(__ldg(part.scales + first_row + row) * sum);
  }
}

template <typename T, typename Code, int D, int NT, bool kShared>
__global__ void __launch_bounds__(kThreads, 1) MultiplyCodes(const __grid_constant__ Work w) {
  namespace cg = cooperative_groups;
  extern __shared__ uint4 memory[];
  char* table = reinterpret_cast<char*>(memory);
  auto* joined = reinterpret_cast<float*>(table + w.table_bytes);
  char* x = reinterpret_cast<char*>(joined + kWarps * kTileRows * NT * kColumns);
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const Share share = ShareOf(w, static_cast<int>(blockIdx.x) / w.blocks);
  const Part& part = *share.part;
  const int rank = static_cast<int>(blockIdx.x) % w.blocks;
  const int slice = rank / (w.M / w.books);
  const int first_book = rank % (w.M / w.books) * w.books;
  const __half* entries =
      part.table + (static_cast<std::int64_t>(slice) * w.M + first_book) * w.K * D;
  const char* lookup = reinterpret_cast<const char*>(entries);
  if constexpr (kShared) {
    FillTable<T, D>(w, entries, table);
    lookup = table + (lane & ((1 << w.copies_shift) - 1)) * (D * 2);
  }
  const int tiles_a_round = kWarps / w.warps_a_tile;
  const int blocks_of_groups = w.stride / kBlock;
  const int row_bytes = w.chunk * D * 2 + kRowPadBytes;
  const std::int64_t book_bytes = static_cast<std::int64_t>(part.O) * w.stride * sizeof(Code);
  for (int done = 0; done < share.tiles; done += tiles_a_round) {
    const int tile = done + warp / w.warps_a_tile;
    const int first_row = (share.first_tile + tile) * kTileRows + lane / 4;
    const auto codes_of = [&](int row) {
      const std::int64_t inside = row < part.O ? row : part.O - 1;
      return static_cast<const char*>(part.codes) + first_book * book_bytes +
             (inside * w.stride + lane % 4 * 8) * static_cast<int>(sizeof(Code));
    };
    float sums[NT][4] = {};
    for (int begin = 0; begin < w.stride; begin += w.chunk) {
      const int first = begin / kBlock;
      const int end = first + w.chunk / kBlock;
      const int offset = warp % w.warps_a_tile - first % w.warps_a_tile;
      const Steps<Code> steps = {
          codes_of(first_row),
          codes_of(first_row + 8),
          book_bytes,
          tile < share.tiles ? first + (offset < 0 ? offset + w.warps_a_tile : offset) : end,
          end < blocks_of_groups ? end : blocks_of_groups,
          w.warps_a_tile,
          0,
          w.books};
      if (done == 0 || w.chunk < w.stride) {
        // Codes are on their way while the table and the inputs are.
        Steps<Code> soon = steps;
        for (int i = 0; i < Ahead(NT) && !soon.Done(); ++i, soon.Next()) {
          soon.Prefetch();
        }
        __syncthreads();
        StageInputs<T, D, NT>(w, slice, begin, w.chunk, x);
        asm volatile("cp.async.wait_all;" ::: "memory");
        __syncthreads();
      }
      const char* from = x + lane / 4 * row_bytes + lane % 4 * kPieceBytes;
      AddChunk<T, Code, D, NT, kShared>(w, steps, first, lookup, from, row_bytes, sums);
    }
    KeepSums<NT>(sums, joined);
    cg::this_cluster().sync();
    const int left = share.tiles - done;
    JoinAndStore<T, NT>(w,
                        part,
                        (share.first_tile + done) * kTileRows,
                        left < tiles_a_round ? left : tiles_a_round,
                        joined);
    cg::this_cluster().sync();
  }
}

// How a launch looks beside its Work.
struct Launch {
  CodebookPlan plan;
  int code_bytes;
  int columns;  // 1, 2 or 4 times kColumns rows of x.
  int clusters;
  int shared_bytes;
  DeviceStream stream;
};

using Kernel = void (*)(Work);

template <typename T, typename Code, int D, bool kShared>
Kernel ByColumns(int columns) {
  return columns == 1   ? MultiplyCodes<T, Code, D, 1, kShared>
         : columns == 2 ? MultiplyCodes<T, Code, D, 2, kShared>
                        : MultiplyCodes<T, Code, D, 4, kShared>;
}

template <typename T>
Kernel Choose(const Launch& launch) {
  const auto slice = launch.plan.slice;
  if (!launch.plan.shared) {
    return slice == 8 ? ByColumns<T, std::uint16_t, 8, false>(launch.columns)
                      : ByColumns<T, std::uint16_t, 4, false>(launch.columns);
  }
  if (launch.code_bytes == 1) {
    return slice == 8 ? ByColumns<T, std::uint8_t, 8, true>(launch.columns)
                      : ByColumns<T, std::uint8_t, 4, true>(launch.columns);
  }
  return slice == 8   ? ByColumns<T, std::uint16_t, 8, true>(launch.columns)
         : slice == 4 ? ByColumns<T, std::uint16_t, 4, true>(launch.columns)
                      : ByColumns<T, std::uint16_t, 2, true>(launch.columns);
}

// One type's kernels are compiled in a file of their own: they are many. Null where there is none.
Kernel ChooseF16(const Launch& launch);
Kernel ChooseBf16(const Launch& launch);

}  // namespace bitsweep::kernels::codebook
