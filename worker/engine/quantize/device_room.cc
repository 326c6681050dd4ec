#include "worker/engine/quantize/device_room.h"

#include "worker/engine/error.h"

namespace bitsweep::engine {

std::int64_t QuantizeBytesAtLeast(const ModelConfig& config, const DeviceShare& share) {
  constexpr std::int64_t kFloat = 4;
  constexpr std::int64_t kDouble = 8;
  std::int64_t weights = 0;
  for (const std::string& name : ModelConfig::LinearNames()) {
    const auto [rows, columns] = config.LinearShape(name);
    weights += rows * columns;
  }
  const std::array<std::int64_t, kTapCount> widths = TapWidths(config);
  std::int64_t sums = 0;
  for (std::size_t tap = 0; tap < kTapCount; ++tap) {
    const std::int64_t square = widths[tap] * widths[tap];
    sums += square * (kDouble + kFloat + (share.totals[tap] ? kDouble : 0));
  }
  const std::int64_t tokens = share.tokens * (share.keeps_targets ? 2 : 1) +
                              share.gathered_tokens * 2;
  return tokens * config.hidden_size * share.element + weights * (kFloat + share.element) + sums;
}

void RequireRoomForQuantization(std::int64_t needed,
                                std::int64_t free,
                                const std::string& device) {
  if (needed > free) {
    throw EngineError(FailureClass::kOomGpu,
                      "this part of the calibration set with one block takes at least " +
                          std::to_string(needed >> 20) + " MiB, and " + device + " has " +
                          std::to_string(free >> 20) +
                          " MiB left: fewer or shorter sequences, no block tuning, more GPUs, or "
                          "GPUs with more memory");
  }
}

}  // namespace bitsweep::engine
