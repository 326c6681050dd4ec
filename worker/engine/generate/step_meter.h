// What `bench generate` measures of one loop: its steps' times and the bytes that each must read.
// It also decides where a sequence ends, since the bench has no text. Thread rule: one loop, one
// thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <utility>
#include <vector>

#include "worker/engine/checkpoint/model_config.h"
#include "worker/engine/generate/device_batch.h"

namespace bitsweep::engine {

inline double SecondsSince(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

struct Measured {
  double seconds = 0.0;  // Of the whole run; set by the caller.
  std::int64_t tokens = 0;
  std::vector<double> steps;   // Seconds from one step's tokens to the next's.
  std::vector<double> bytes;   // Weights, keys and values that each of these steps must read
  std::vector<double> shared;  // where a prompt's are read once for all its samples.
  std::vector<std::int64_t> live;
};

/// [problem][sample]; a row is written by the loop that generates it.
using Completions = std::vector<std::vector<std::vector<std::int64_t>>>;

class StepMeter {
 public:
  /// `lengths`: tokens of each completion, [problem][sample]. All referents outlive the meter.
  StepMeter(const ModelConfig& config,
            const std::vector<std::vector<std::int64_t>>& prompts,
            const std::vector<std::vector<std::int64_t>>& lengths,
            Completions& completions);

  /// As DeviceLoop::accept.
  void Accept(std::vector<DeviceLoop::Token>& tokens);
  const Measured& measured() const { return measured_; }

 private:
  const std::pair<double, double> bytes_;  // Of the weights that a step reads, of a cached token.
  const std::vector<std::vector<std::int64_t>>& prompts_;
  const std::vector<std::vector<std::int64_t>>& lengths_;
  Completions& completions_;
  Measured measured_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace bitsweep::engine
