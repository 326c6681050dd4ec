// The launch of codebook_matvec.h: which cluster computes which rows, and what a block keeps where.
#include <algorithm>
#include <atomic>

#include "worker/kernels/codebook_matvec.cuh"

namespace bitsweep::kernels {
namespace {

using codebook::kBlock;
using codebook::kColumns;
using codebook::kSharedBytesMax;
using codebook::kThreads;
using codebook::kTileRows;
using codebook::kWarps;
using codebook::Launch;
using codebook::Work;

constexpr int kColumnsMax = 4;  // Times kColumns rows of x.

// Where entries are read from the first cache, it shares its memory with this.
constexpr int kSharedBytesBesideCache = 96 << 10;

// What a round of tiles costs beside its blocks of groups, in such blocks: two barriers and a sum.
// A guess; it matters where a warp has next to nothing to do.
constexpr int kRoundCost = 2;

int Ceil(int a, int b) {
  return (a + b - 1) / b;
}

cudaLaunchConfig_t Configuration(const Launch& launch, cudaLaunchAttribute* attribute) {
  attribute->id = cudaLaunchAttributeClusterDimension;
  attribute->val.clusterDim.x = static_cast<unsigned>(launch.plan.blocks);
  attribute->val.clusterDim.y = 1;
  attribute->val.clusterDim.z = 1;
  cudaLaunchConfig_t configuration{};
  configuration.gridDim = dim3(static_cast<unsigned>(launch.clusters * launch.plan.blocks));
  configuration.blockDim = dim3(kThreads);
  configuration.dynamicSmemBytes = static_cast<std::size_t>(launch.shared_bytes);
  configuration.stream = launch.stream;
  configuration.attrs = attribute;
  configuration.numAttrs = 1;
  return configuration;
}

KernelStatus Allow(codebook::Kernel kernel, std::int64_t blocks) {
  constexpr std::int64_t kPortableBlocks = 8;
  KernelStatus status = Checked(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kSharedBytesMax));
  if (status == KernelStatus::kOk && blocks > kPortableBlocks) {
    status =
        Checked(cudaFuncSetAttribute(kernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1));
  }
  return status;
}

// Clusters of so many blocks, one on a multiprocessor, that the current device runs at once. Asked
// for one kernel with all shared memory, so that the order of sums does not depend on the kernel.
KernelStatus ClustersAtOnce(std::int64_t blocks, int* clusters) {
  constexpr int kDevices = 64;
  constexpr int kSizes = 17;
  static std::atomic<int> known[kDevices][kSizes];
  int device = 0;
  KernelStatus status = Checked(cudaGetDevice(&device));
  if (status != KernelStatus::kOk || device >= kDevices || blocks >= kSizes) {
    return status == KernelStatus::kOk ? KernelStatus::kBadShape : status;
  }
  std::atomic<int>& entry = known[device][blocks];
  *clusters = entry.load();
  if (*clusters > 0) {
    return KernelStatus::kOk;
  }
  Launch launch{};
  launch.plan.slice = 8;
  launch.plan.blocks = blocks;
  launch.code_bytes = 2;
  launch.columns = 1;
  launch.clusters = 1;
  launch.shared_bytes = kSharedBytesMax;
  const codebook::Kernel kernel = codebook::ChooseF16(launch);
  status = Allow(kernel, blocks);
  if (status != KernelStatus::kOk) {
    return status;
  }
  cudaLaunchAttribute attribute{};
  const cudaLaunchConfig_t configuration = Configuration(launch, &attribute);
  status = Checked(cudaOccupancyMaxActiveClusters(clusters, kernel, &configuration));
  if (status == KernelStatus::kOk && *clusters < 1) {
    return KernelStatus::kBadShape;
  }
  entry.store(*clusters);
  return status;
}

// Gives each cluster as many tiles of one part, as few as all clusters together can take.
int DivideTiles(const CodebookMatvecArgs& args, int clusters_at_once, Work* work) {
  for (int tiles = 1;; ++tiles) {
    int clusters = 0;
    for (int i = 0; i < args.count; ++i) {
      work->parts[i].first_cluster = clusters;
      clusters += Ceil(Ceil(work->parts[i].O, kTileRows), tiles);
    }
    // Each part needs one cluster at least.
    if (clusters <= std::max(clusters_at_once, args.count)) {
      work->tiles_a_cluster = tiles;
      return clusters;
    }
  }
}

// The fewest rounds and blocks one after the other; of equals, the fewest sums to join.
int WarpsATile(const Work& work) {
  const int blocks = work.stride / kBlock;
  int best = 1;
  int best_cost = 0;
  for (int warps = 1; warps <= kWarps; warps *= 2) {
    const int rounds = Ceil(work.tiles_a_cluster * warps, kWarps);
    const int cost = rounds * (Ceil(blocks, warps) * work.books + kRoundCost);
    if (warps == 1 || cost < best_cost) {
      best = warps;
      best_cost = cost;
    }
  }
  return best;
}

// As many groups of x as shared memory has room for, whole shares of the warps if possible.
int ChunkOf(const Work& work, std::int64_t slice, int columns, int room) {
  const int rows = columns * kColumns;
  const int groups = (room - rows * codebook::kRowPadBytes) / (rows * static_cast<int>(slice) * 2);
  const int share = kBlock * work.warps_a_tile;
  const int whole =
      groups / (groups >= share ? share : kBlock) * (groups >= share ? share : kBlock);
  return std::min(whole, work.stride);
}

Work MakeWork(const CodebookMatvecArgs& args, const CodebookPlan& plan) {
  const CodebookShape& n = args.shape;
  Work work{};
  work.count = args.count;
  work.I = static_cast<int>(n.I);
  work.stride = static_cast<int>(n.stride());
  work.M = static_cast<int>(n.M);
  work.K = static_cast<int>(n.K());
  work.g = static_cast<int>(n.g);
  work.books = static_cast<int>(plan.books);
  work.blocks = static_cast<int>(plan.blocks);
  while ((std::int64_t{1} << work.copies_shift) < plan.copies) {
    ++work.copies_shift;
  }
  work.table_bytes = static_cast<int>(plan.TableBytes(n));
  for (int i = 0; i < args.count; ++i) {
    const CodebookMatrix& part = args.parts[i];
    work.parts[i] = {part.codes,
                     static_cast<const __half*>(part.slices),
                     part.scales,
                     static_cast<int>(part.O),
                     0,
                     work.width};
    work.width += static_cast<int>(part.O);
  }
  return work;
}

bool Valid(const CodebookMatvecArgs& args) {
  bool valid = args.shape.Valid() && args.rows > 0 && args.count > 0 &&
               args.count <= kCodebookPartsMax && Aligned(args.x, 16);
  for (int i = 0; valid && i < args.count; ++i) {
    valid = args.parts[i].O > 0 && Aligned(args.parts[i].codes, 16) &&
            Aligned(args.parts[i].slices, 16);
  }
  return valid;
}

}  // namespace

KernelStatus CodebookMatvecCuda(const CodebookMatvecArgs& args, DeviceStream stream) {
  Launch launch{};
  launch.plan = PlanCodebookMatvec(args.shape);
  launch.code_bytes = static_cast<int>(args.shape.code_bytes());
  launch.stream = stream;
  if (launch.plan.slice == 0 || !Valid(args)) {
    return KernelStatus::kBadShape;
  }
  int at_once = 0;
  KernelStatus status = ClustersAtOnce(launch.plan.blocks, &at_once);
  Work work = MakeWork(args, launch.plan);
  launch.clusters = DivideTiles(args, at_once, &work);
  work.warps_a_tile = WarpsATile(work);
  for (std::int64_t begin = 0; begin < args.rows && status == KernelStatus::kOk;
       begin += work.rows) {
    work.rows = static_cast<int>(std::min<std::int64_t>(args.rows - begin, kColumnsMax * kColumns));
    work.x = static_cast<const std::uint16_t*>(args.x) + begin * args.shape.I * args.shape.g;
    work.out = static_cast<std::uint16_t*>(args.out) + begin * work.width;
    launch.columns = work.rows <= kColumns ? 1 : work.rows <= 2 * kColumns ? 2 : kColumnsMax;
    const int sums = kWarps * kTileRows * launch.columns * kColumns * 4;
    const int room = launch.plan.shared ? kSharedBytesMax : kSharedBytesBesideCache;
    work.chunk = ChunkOf(work, launch.plan.slice, launch.columns, room - work.table_bytes - sums);
    launch.shared_bytes =
        work.table_bytes + sums +
        launch.columns * kColumns *
            (work.chunk * static_cast<int>(launch.plan.slice) * 2 + codebook::kRowPadBytes);
    const codebook::Kernel kernel =
        args.element == Element::kF16 ? codebook::ChooseF16(launch) : codebook::ChooseBf16(launch);
    status = Allow(kernel, launch.plan.blocks);
    if (status == KernelStatus::kOk) {
      cudaLaunchAttribute attribute{};
      const cudaLaunchConfig_t configuration = Configuration(launch, &attribute);
      status = Checked(cudaLaunchKernelEx(&configuration, kernel, work));
    }
  }
  return status;
}

}  // namespace bitsweep::kernels
