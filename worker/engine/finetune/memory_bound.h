// What end-to-end fine-tuning takes of memory at most (README.md, Memory): the sum that is stated,
// so that it can be compared with what was measured. Thread rule: free functions.
#pragma once

#include <cstdint>
#include <vector>

#include "worker/engine/checkpoint/model_config.h"
#include "worker/engine/finetune/code_choice.h"
#include "worker/engine/finetune/parameters.h"

namespace bitsweep::engine {

struct FinetuneSizes {
  const ModelConfig& config;
  const std::vector<Parameter*>& parameters;
  const std::vector<bool>& is_trained;  // One a parameter; codes: where they may become others.
  std::int64_t sequences = 0;           // Of the calibration, all.
  std::int64_t length = 0;              // Tokens of each.
  std::int64_t batch = 1, pass_sequences = 1;
  std::int64_t threads = 1;
  std::int64_t kept_graph_bytes = 0;  // Of a pass that keeps all graphs.
  bool recompute = false;             // One block's graph at a time instead.
  bool on_cpu = true;
  std::int64_t teacher_value_bytes = 4;  // As it is kept.
  CodeChoiceOptions codes;
  std::int64_t code_bytes = 0;  // Student::CodeBytes().
};

/// Bytes beside what the process (on a GPU: its context) had before: on the CPU resident memory,
/// the weight files' pages included, on a GPU what is allocated there.
std::int64_t FinetuneMemoryBound(const FinetuneSizes& sizes);

}  // namespace bitsweep::engine
