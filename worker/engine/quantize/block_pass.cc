#include "worker/engine/quantize/block_pass.h"

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "worker/engine/device_list.h"
#include "worker/engine/numerics.h"
#include "worker/engine/tasks.h"

namespace bitsweep::engine {
namespace {

// Chunks whose products may wait to be added, for each thread: enough that nobody idles at a wave's
// end for long, few enough that they are no burden (four matrices [in, in] each). A GPU's queue
// does not idle.
constexpr std::int64_t kChunksPerThread = 4;

// Sequences [begin, begin + count) of a shard.
struct Chunk {
  std::size_t shard = 0;
  std::int64_t begin = 0;
  std::int64_t count = 0;
  bool ends_shard = false;
};

std::vector<Chunk> ChunksOnDevice(const ShardedSequences& x,
                                  std::size_t device,
                                  std::int64_t length) {
  std::vector<Chunk> chunks;
  const std::int64_t chunk = SequencesPerChunk(length);
  for (std::size_t s = 0; s < x.shards().size(); ++s) {
    const std::int64_t sequences = x.shards()[s].count;
    for (std::int64_t at = 0; at < sequences && x.DeviceIndex(s) == device; at += chunk) {
      chunks.push_back({.shard = s,
                        .begin = at,
                        .count = std::min(chunk, sequences - at),
                        .ends_shard = at + chunk >= sequences});
    }
  }
  return chunks;
}

}  // namespace

// Lets shards be added in their order, each by its device's thread. Devices work on shards round by
// round, so that nobody waits long.
class BlockPass::Turns {
 public:
  // Calls `body` when all shards before were added. Not at all after a failure elsewhere: the
  // shards before may never come.
  void Take(std::size_t shard, const std::function<void()>& body) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return failed_ || next_ == shard; });
    if (!failed_) {
      body();
      ++next_;
      changed_.notify_all();
    }
  }

  void Fail() {
    const std::lock_guard<std::mutex> lock(mutex_);
    failed_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t next_ = 0;
  bool failed_ = false;
};

ShardedSequences BlockPass::Outputs(const ShardedSequences& x) const {
  const ShardedSequences out = x.Like();
  Run(x, nullptr, &out);
  return out;
}

ShardedSequences BlockPass::Taps(const ShardedSequences& x,
                                 BlockStatistics* statistics,
                                 bool keep_outputs) const {
  const ShardedSequences out = keep_outputs ? x.Like() : ShardedSequences();
  Run(x, statistics, keep_outputs ? &out : nullptr);
  return out;
}

void BlockPass::Run(const ShardedSequences& x,
                    BlockStatistics* statistics,
                    const ShardedSequences* out) const {
  if (x.shards().empty()) {
    return;
  }
  const at::Tensor first = x.Shard(0);
  // X^T X of half-precision inputs loses nothing in tf32.
  const Tf32Products exact(first.is_cuda() && first.scalar_type() != at::kFloat);
  Turns turns;
  RunOnDevices(block->devices(), [&](std::size_t device) {
    try {
      RunOnDevice(device, x, statistics, out, turns);
    } catch (...) {
      turns.Fail();
      throw;
    }
  });
}

void BlockPass::RunOnDevice(std::size_t device,
                            const ShardedSequences& x,
                            BlockStatistics* statistics,
                            const ShardedSequences* out,
                            Turns& turns) const {
  const BlockReplica& replica = (*block)[device];
  const std::int64_t length = x.Shard(0).size(1);
  const std::vector<Chunk> chunks = ChunksOnDevice(x, device, length);
  // On the CPU one sequence at a time, whose activations stay in the core's cache; a GPU wants a
  // whole chunk.
  const bool on_cpu = block->devices()[device].is_cpu();
  const std::int64_t batch = on_cpu ? 1 : SequencesPerChunk(length);
  const int workers = on_cpu && block->devices().size() == 1 ? threads : 1;
  const auto wave = static_cast<std::size_t>(on_cpu ? workers * kChunksPerThread : 1);
  ShardSums sums;
  for (std::size_t first = 0; first < chunks.size(); first += wave) {
    std::vector<ChunkProducts> products(std::min(wave, chunks.size() - first));
    RunTasks(static_cast<std::int64_t>(products.size()), workers, [&](std::int64_t index) {
      const c10::NoGradGuard no_grad;
      const auto i = static_cast<std::size_t>(index);
      const Chunk& chunk = chunks[first + i];
      for (std::int64_t at = 0; at < chunk.count; at += batch) {
        const std::int64_t begin = chunk.begin + at;
        const std::int64_t count = std::min(batch, chunk.count - at);
        BlockTaps taps;
        taps.only = out == nullptr;
        const at::Tensor y = BlockForward(block->config(),
                                          replica.weights,
                                          replica.rope,
                                          x.Shard(chunk.shard).narrow(0, begin, count),
                                          statistics == nullptr ? nullptr : &taps);
        if (statistics != nullptr) {
          products[i].Add(taps);
        }
        if (out != nullptr) {
          out->Shard(chunk.shard).narrow(0, begin, count).copy_(y);
        }
      }
    });
    for (std::size_t i = 0; statistics != nullptr && i < products.size(); ++i) {
      sums.Add(products[i]);
      if (chunks[first + i].ends_shard) {
        turns.Take(chunks[first + i].shard, [&] { statistics->Add(std::move(sums)); });
        sums = ShardSums();
      }
    }
  }
}

}  // namespace bitsweep::engine
