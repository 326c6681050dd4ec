// Codes, codebooks and scales of all linears of a block, given their H: spread over the devices,
// the dearest linear first. Thread rule: one thread calls; `done` is called from any.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "worker/engine/quantize/block_replicas.h"
#include "worker/engine/quantize/block_statistics.h"
#include "worker/engine/quantize/linear_methods.h"
#include "worker/engine/quantize/linear_spread.h"

namespace bitsweep::engine {

class BlockSearch {
 public:
  /// Chooses the method that serves on every device: the first device's where all have the same,
  /// else the CPU's.
  BlockSearch(const ModelConfig& config,
              const LinearQuantizeOptions& options,
              const std::vector<at::Device>& devices,
              std::uint64_t seed,
              int threads);

  const LinearMethod& method() const { return *method_; }
  const LinearSpread& spread() const { return spread_; }
  /// Where H is wanted.
  BlockStatistics::Homes Homes() const;

  /// One result for each of ModelConfig::LinearNames(). The same for any devices of one kind and
  /// any threads. Calls `done` after each linear. Throws what the method throws.
  std::vector<LinearResult> Run(std::int64_t layer,
                                BlockReplicas& block,
                                BlockStatistics& statistics,
                                const std::function<void()>& done) const;

  static std::string LinearName(std::int64_t layer, std::size_t linear);

 private:
  bool OnCpuOnly() const;

  const LinearQuantizeOptions& options_;
  const std::vector<at::Device> devices_;
  const LinearMethod* method_;
  const LinearSpread spread_;
  const std::uint64_t seed_;
  const int threads_;
};

/// As the checkpoint stores it.
QuantizedLinear ToTensors(const LinearResult& result);

}  // namespace bitsweep::engine
