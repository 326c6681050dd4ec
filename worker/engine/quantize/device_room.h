// Whether a quantization fits a GPU, before it begins: what fails an hour later otherwise, and says
// less. Thread rule: free functions without state.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "worker/engine/checkpoint/model_config.h"
#include "worker/engine/quantize/block_statistics.h"

namespace bitsweep::engine {

/// What one device of a quantization holds.
struct DeviceShare {
  std::int64_t tokens = 0;     // Of the calibration set at a block's entrance, validation included.
  std::int64_t element = 4;    // Bytes of an activation and of a weight as it is used.
  bool keeps_targets = false;  // The same tokens at the block's exit.
  // The whole set, at both, where blocks are tuned on this one of several devices.
  std::int64_t gathered_tokens = 0;
  // Which X^T X of all shards is at home here.
  std::array<bool, kTapCount> totals = {true, true, true, true};
};

/// Bytes that it holds at once at least: the share above; a block's weights in f32 and as they are
/// used; four sums X^T X of a shard in f64 with a chunk's products in f32.
std::int64_t QuantizeBytesAtLeast(const ModelConfig& config, const DeviceShare& share);

/// Throws kOomGpu with advice where `needed` is more than the `free` bytes of `device`.
void RequireRoomForQuantization(std::int64_t needed,
                                std::int64_t free,
                                const std::string& device);

}  // namespace bitsweep::engine
