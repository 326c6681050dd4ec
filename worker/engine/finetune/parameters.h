// What is trained, and how gradients are handed around: one tensor a parameter, in the parameters'
// order. Thread rule: plain values; whoever trains owns them.
#pragma once

#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

namespace bitsweep::engine {

/// The kinds of values that fine-tuning moves.
enum class TrainedPart {
  kCodebooks,
  kScales,
  kNorms,
  kEmbeddings,
  kLmHead,
  kCodes  // Moved by objectives that say so, never by a choice of parts.
};

struct Parameter {
  std::string name;  // As in the checkpoint.
  TrainedPart part = TrainedPart::kCodebooks;
  // Master value, f32 (f64 in tests), moved in place. Of codes that stay: themselves, i32, else the
  // logits of their alternatives.
  at::Tensor value;
};

/// One a parameter, of its shape and dtype; undefined where none was computed.
using Gradients = std::vector<at::Tensor>;

}  // namespace bitsweep::engine
