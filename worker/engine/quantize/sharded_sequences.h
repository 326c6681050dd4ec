// The activations of all calibration sequences at one place of the model, divided over devices in
// fixed shards. Shards are whole chunks (block_statistics.h) and depend on the set alone, never on
// the number of devices, so that sums over shards in their order have the same bits on any number.
// Thread rule: shards are independent; a device's shards belong to that device's thread while a
// pass runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

namespace bitsweep::engine {

/// A multiple of 1, 2, 3, 4, 6, 8 and 12, so that these many devices get equal numbers of shards.
inline constexpr std::int64_t kShardsMax = 24;

/// Sequences [begin, begin + count) of a set.
struct SequenceShard {
  std::int64_t begin = 0;
  std::int64_t count = 0;
};

/// Sequences of `length` tokens that are one chunk: up to kChunkTokensMax tokens, one at least.
std::int64_t SequencesPerChunk(std::int64_t length);

/// Whole chunks of `sequences` sequences, in order, in at most kShardsMax shards of nearly equal
/// size; none of no sequences.
std::vector<SequenceShard> DivideIntoShards(std::int64_t sequences, std::int64_t length);

/// Where shard `shard` lives: the number of one of `devices` devices.
constexpr std::size_t DeviceOfShard(std::size_t shard, std::size_t devices) {
  return shard % devices;
}

/// How many sequences of such a division live on one of `devices` devices.
std::int64_t SequencesOnDevice(const std::vector<SequenceShard>& shards,
                               std::size_t device,
                               std::size_t devices);

class ShardedSequences {
 public:
  ShardedSequences() = default;
  /// Room for [sequences, length, width], uninitialised.
  ShardedSequences(const std::vector<at::Device>& devices,
                   std::int64_t sequences,
                   std::int64_t length,
                   std::int64_t width,
                   at::ScalarType dtype);
  /// The same division, uninitialised.
  ShardedSequences Like() const;

  const std::vector<SequenceShard>& shards() const { return shards_; }
  std::size_t DeviceIndex(std::size_t shard) const { return DeviceOfShard(shard, parts_.size()); }
  /// [count, T, h], a view.
  at::Tensor Shard(std::size_t shard) const;
  /// All [sequences, T, h] on the first device: a view where it is the only one, a copy elsewhere.
  at::Tensor Whole() const;

 private:
  std::vector<SequenceShard> shards_;
  std::vector<std::int64_t> offsets_;  // Of each shard in its device's part.
  std::vector<at::Tensor> parts_;      // [sequences there, T, h], one a device.
};

}  // namespace bitsweep::engine
