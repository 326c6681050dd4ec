// All calibration sequences through one block: for H, for the block's outputs, or both. Each device
// takes the shards that live on it. Thread rule: one caller; on the CPU alone sequences are divided
// over `threads` threads; the result depends neither on them nor on the number of devices.
#pragma once

#include <cstddef>

#include <ATen/core/Tensor.h>

#include "worker/engine/quantize/block_replicas.h"
#include "worker/engine/quantize/block_statistics.h"
#include "worker/engine/quantize/sharded_sequences.h"

namespace bitsweep::engine {

struct BlockPass {
  const BlockReplicas* block = nullptr;
  int threads = 1;

  /// x [sequences, T, h] on the block's devices -> the block's outputs, the same shape.
  ShardedSequences Outputs(const ShardedSequences& x) const;
  /// Replaces x by the block's outputs, chunk by chunk: calibration sets are larger than models.
  void Advance(ShardedSequences& x) const { Run(x, nullptr, &x); }
  /// Adds the inputs of the linears to `statistics`; returns the outputs when `keep_outputs`, else
  /// nothing.
  ShardedSequences Taps(const ShardedSequences& x,
                        BlockStatistics* statistics,
                        bool keep_outputs) const;

 private:
  class Turns;

  // Outputs go to `out` where there is one; it may be x.
  void Run(const ShardedSequences& x,
           BlockStatistics* statistics,
           const ShardedSequences* out) const;
  void RunOnDevice(std::size_t device,
                   const ShardedSequences& x,
                   BlockStatistics* statistics,
                   const ShardedSequences* out,
                   Turns& turns) const;
};

}  // namespace bitsweep::engine
