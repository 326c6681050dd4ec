#include "worker/engine/quantize/sharded_sequences.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "worker/engine/quantize/block_statistics.h"

namespace bitsweep::engine {

std::int64_t SequencesPerChunk(std::int64_t length) {
  return std::max<std::int64_t>(1, kChunkTokensMax / length);
}

std::vector<SequenceShard> DivideIntoShards(std::int64_t sequences, std::int64_t length) {
  const std::int64_t chunk = SequencesPerChunk(length);
  const std::int64_t chunks = (sequences + chunk - 1) / chunk;
  const std::int64_t count = std::min(kShardsMax, chunks);
  std::vector<SequenceShard> shards;
  for (std::int64_t s = 0; s < count; ++s) {
    const std::int64_t begin = s * chunks / count * chunk;
    const std::int64_t end = std::min(sequences, (s + 1) * chunks / count * chunk);
    shards.push_back({.begin = begin, .count = end - begin});
  }
  return shards;
}

std::int64_t SequencesOnDevice(const std::vector<SequenceShard>& shards,
                               std::size_t device,
                               std::size_t devices) {
  std::int64_t sequences = 0;
  for (std::size_t s = 0; s < shards.size(); ++s) {
    sequences += DeviceOfShard(s, devices) == device ? shards[s].count : 0;
  }
  return sequences;
}

ShardedSequences::ShardedSequences(const std::vector<at::Device>& devices,
                                   std::int64_t sequences,
                                   std::int64_t length,
                                   std::int64_t width,
                                   at::ScalarType dtype)
    : shards_(DivideIntoShards(sequences, length)) {
  for (std::size_t d = 0; d < devices.size(); ++d) {
    parts_.push_back(at::empty({SequencesOnDevice(shards_, d, devices.size()), length, width},
                               at::TensorOptions().dtype(dtype).device(devices[d])));
  }
  std::vector<std::int64_t> filled(devices.size(), 0);
  for (std::size_t s = 0; s < shards_.size(); ++s) {
    std::int64_t& end = filled[DeviceIndex(s)];
    offsets_.push_back(end);
    end += shards_[s].count;
  }
}

ShardedSequences ShardedSequences::Like() const {
  ShardedSequences other = *this;
  for (at::Tensor& part : other.parts_) {
    part = at::empty_like(part);
  }
  return other;
}

at::Tensor ShardedSequences::Shard(std::size_t shard) const {
  return parts_[DeviceIndex(shard)].narrow(0, offsets_[shard], shards_[shard].count);
}

at::Tensor ShardedSequences::Whole() const {
  if (parts_.size() == 1) {
    return parts_[0];
  }
  const std::int64_t sequences =
      shards_.empty() ? 0 : shards_.back().begin + shards_.back().count;
  const at::Tensor whole =
      at::empty({sequences, parts_[0].size(1), parts_[0].size(2)}, parts_[0].options());
  for (std::size_t s = 0; s < shards_.size(); ++s) {
    whole.narrow(0, shards_[s].begin, shards_[s].count).copy_(Shard(s));
  }
  return whole;
}

}  // namespace bitsweep::engine
