// Tensor-core attention over cache pages. A block takes one item and one key/value head; its warps
// take the item's tokens 16 at a time, each for itself: a warp's keys and values travel through its
// own queue in shared memory, so that no warp waits for another until the item's end. By then the
// queue holds the next item's first tokens: items are short, and memory must not idle between them.
#include "worker/kernels/cached_attention.h"

#include <mutex>

#include "worker/kernels/cached_attention_queue.cuh"
#include "worker/kernels/cached_attention_rows.cuh"
#include "worker/kernels/launch.cuh"

namespace bitsweep::kernels {
namespace {

using namespace attention;  // NOLINT(google-build-using-namespace): the kernel's own two headers.

constexpr int kBlocksPerProcessor = 2;
constexpr int kDevicesMax = 64;
constexpr float kLog2E = 1.44269504F;

// A warp's share of an item: token blocks of 16, every kWarps-th. In a page they are the same place
// for the warp, since a page is kWarps of them.
struct Share {
  const AttentionItem* item;  // Null: there is no work left.
  int kv_head;
  int left;   // Tokens from the warp's first one on.
  int steps;  // Pages in which the warp has a token.
  int pages[kItemPages];
};
static_assert(kPageTokens == kWarps * kStepTokens);

__device__ Share TakeShare(const CachedAttentionArgs& a, int work, int count) {
  const int kv_heads = static_cast<int>(a.kv_heads);
  Share share = {};
  if (work < count * kv_heads) {
    share.item = a.items + work / kv_heads;
    share.kv_head = work % kv_heads;
    share.left = share.item->tokens - static_cast<int>(threadIdx.x) / 32 * kStepTokens;
    share.steps = (share.left + static_cast<int>(kPageTokens) - 1) / static_cast<int>(kPageTokens);
#pragma unroll
    for (int i = 0; i < kItemPages; ++i) {
      share.pages[i] = share.item->pages[i];
    }
  }
  return share;
}

// Asks for a step's tokens. `place` is the stage of the share's step 0.
template <typename T, int D>
__device__ void FetchStep(
    const CachedAttentionArgs& a, const Share& share, int step, int place, unsigned char* queue) {
  if (step < share.steps) {
    // Selected rather than indexed: the numbers stay in registers.
    const std::int64_t page = step == 0   ? share.pages[0]
                              : step == 1 ? share.pages[1]
                              : step == 2 ? share.pages[2]
                                          : share.pages[3];
    Fetch<T, D>(static_cast<const T*>(a.cache) +
                    (page * a.kv_heads + share.kv_head) * (2 * kPageTokens * D),
                static_cast<int>(threadIdx.x) / 32 * kStepTokens,
                share.left - step * static_cast<int>(kPageTokens),
                queue + (place + step) % kStages * Lanes<D>::kStageBytes);
  }
  CommitCopies();
}

// REQUIRES: the first kStages - 1 steps have been asked for.
template <typename T, int D>
__device__ void AttendShare(const CachedAttentionArgs& a,
                            const Share& share,
                            int place,
                            unsigned char* queue,
                            const Queries<T, D>& queries,
                            Rows<D>& rows) {
  static_assert(kItemPages == 4, "FetchStep selects among four");
  const float scale = rsqrtf(static_cast<float>(D)) * kLog2E;
  for (int step = 0; step < share.steps; ++step) {
    __syncwarp();  // All lanes have read the stage that is filled next.
    FetchStep<T, D>(a, share, step + kStages - 1, place, queue);
    AwaitCopies<kStages - 1>();
    __syncwarp();  // Lanes read what others asked for.
    const unsigned char* stage = queue + (place + step) % kStages * Lanes<D>::kStageBytes;
    float scores[2][4] = {};
    Score<T, D>(queries, stage, scores);
    Weigh<D>(scale, share.left - step * static_cast<int>(kPageTokens), scores, rows);
    AddValues<T, D>(stage, scores, rows);
  }
}

// Joins the warps' rows and stores them.
template <typename T, int D>
__device__ void Finish(const CachedAttentionArgs& a,
                       const AttentionItemRow* item_rows,
                       int row_count,
                       int kv_head,
                       const float* const (&warp_sums)[kWarps],
                       const float (&scales)[kWarps][kItemRows][2]) {
  const int group = static_cast<int>(a.heads / a.kv_heads);
  for (int at = static_cast<int>(threadIdx.x); at < row_count * D; at += kThreads) {
    const int row = at / D;
    const int dim = at % D;
    float greatest = -INFINITY;
#pragma unroll
    for (int warp = 0; warp < kWarps; ++warp) {
      greatest = fmaxf(greatest, scales[warp][row][0]);
    }
    float sum = 0.0F;
    float weight = 0.0F;
#pragma unroll
    for (int warp = 0; warp < kWarps; ++warp) {
      // A warp without a token has a greatest of -infinity and sums of zero.
      const float factor = exp2f(scales[warp][row][0] - greatest);
      sum += factor * warp_sums[warp][row * D + dim];
      weight += factor * scales[warp][row][1];
    }
    const AttentionItemRow to = item_rows[row / group];
    const std::int64_t head = kv_head * group + row % group;
    if (to.part < 0) {
      static_cast<T*>(a.out)[(to.row * a.heads + head) * D + dim] = FromFloat<T>(sum / weight);
    } else {
      const std::int64_t part = to.part * a.heads + head;
      a.parts[part * D + dim] = sum;
      if (dim == 0) {
        a.scales[part * 2] = greatest;
        a.scales[part * 2 + 1] = weight;
      }
    }
  }
}

// Blocks stay and take work until there is none: the number of items is known to the device only,
// so that a recorded graph can serve every step. A block knows its work two items ahead.
template <typename T, int D>
__global__ void __launch_bounds__(kThreads, kBlocksPerProcessor)
    AttendItems(CachedAttentionArgs a) {
  extern __shared__ __align__(16) unsigned char shared[];
  __shared__ float scales[kWarps][kItemRows][2];
  __shared__ const float* warp_sums[kWarps];
  __shared__ int next;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int group = static_cast<int>(a.heads / a.kv_heads);
  const int count = *a.item_count;
  const auto* rows = reinterpret_cast<const AttentionItemRow*>(a.items + count);
  unsigned char* queue = shared + warp * Lanes<D>::kWarpBytes;
  Queries<T, D> queries;
  const auto begin = [&](const Share& share, int place) {
#pragma unroll
    for (int step = 0; step < kStages - 1; ++step) {
      FetchStep<T, D>(a, share, step, place, queue);
    }
  };
  const auto load_queries = [&](const Share& share) {
    if (share.item != nullptr) {
      LoadQueries<T, D>(
          a, rows + share.item->first_row, share.item->rows, share.kv_head, queries);
    }
  };
  int place = 0;
  int upcoming = static_cast<int>(blockIdx.x + gridDim.x);
  Share share = TakeShare(a, static_cast<int>(blockIdx.x), count);
  begin(share, place);
  load_queries(share);
  while (share.item != nullptr) {
    int following = 0;
    if (threadIdx.x == 0) {
      following = static_cast<int>(2 * gridDim.x) + atomicAdd(a.next_work, 1);
    }
    const Share upcoming_share = TakeShare(a, upcoming, count);
    Rows<D> sums;
    AttendShare<T, D>(a, share, place, queue, queries, sums);
    place = (place + share.steps) % kStages;
    __syncwarp();
    begin(upcoming_share, place);
    // The stage before `place` is the one that was read last.
    auto* left = reinterpret_cast<float*>(queue +
                                          (place + kStages - 1) % kStages * Lanes<D>::kStageBytes);
    const int row_count = share.item->rows * group;
    Leave<D>(sums, row_count, left, scales[warp]);
    load_queries(upcoming_share);
    if (threadIdx.x % 32 == 0) {
      warp_sums[warp] = left;
    }
    if (threadIdx.x == 0) {
      next = following;
    }
    __syncthreads();
    upcoming = next;
    Finish<T, D>(a, rows + share.item->first_row, row_count, share.kv_head, warp_sums, scales);
    __syncthreads();
    share = upcoming_share;
  }
  AwaitCopies<0>();
}

struct Allowed {
  cudaError_t error = cudaSuccess;
  int processors = 1;
};

// More shared memory than a kernel has without asking, on the current device.
Allowed Allow(void (*kernel)(CachedAttentionArgs), int bytes, int device) {
  Allowed out;
  const auto also = [&](cudaError_t error) {
    out.error = out.error == cudaSuccess ? error : out.error;
  };
  also(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  also(cudaFuncSetAttribute(
      kernel, cudaFuncAttributePreferredSharedMemoryCarveout, cudaSharedmemCarveoutMaxShared));
  also(cudaDeviceGetAttribute(&out.processors, cudaDevAttrMultiProcessorCount, device));
  return out;
}

template <typename T, int D>
KernelStatus Launch(const CachedAttentionArgs& args, DeviceStream stream) {
  constexpr int kBytes = kWarps * Lanes<D>::kWarpBytes;
  // The attributes belong to a kernel on a device, and devices have threads of their own.
  static std::once_flag once[kDevicesMax];
  static Allowed allowed[kDevicesMax];
  int device = 0;
  const cudaError_t found = cudaGetDevice(&device);
  if (found != cudaSuccess || device >= kDevicesMax) {
    return Checked(found != cudaSuccess ? found : cudaErrorInvalidDevice);
  }
  std::call_once(once[device], [&] { allowed[device] = Allow(AttendItems<T, D>, kBytes, device); });
  if (allowed[device].error != cudaSuccess) {
    return Checked(allowed[device].error);
  }
  AttendItems<T, D><<<static_cast<unsigned>(allowed[device].processors * kBlocksPerProcessor),
                      kThreads,
                      kBytes,
                      stream>>>(args);
  return LaunchStatus();
}

}  // namespace

KernelStatus CachedAttentionCuda(const CachedAttentionArgs& args, DeviceStream stream) {
  if (!CachedAttentionSupported(args.heads, args.kv_heads, args.head_dim) ||
      args.q_stride % 8 != 0 || !Aligned(args.q, 16) || !Aligned(args.cache, 16)) {
    return KernelStatus::kBadShape;
  }
  return WithElement(args.element, [&](auto zero) {
    using T = decltype(zero);
    switch (args.head_dim) {
      case 32:
        return Launch<T, 32>(args, stream);
      case 64:
        return Launch<T, 64>(args, stream);
      case 96:
        return Launch<T, 96>(args, stream);
      default:
        return Launch<T, 128>(args, stream);
    }
  });
}

}  // namespace bitsweep::kernels
