// What end-to-end fine-tuning is given, checked before anything is computed: a quantized model, the
// model that it was made from, and token sequences. Thread rule: free functions.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "worker/engine/calibration/sampling.h"
#include "worker/engine/checkpoint/checkpoint.h"

namespace bitsweep::engine {

/// All sequences, those for training first: [sequences, T] i64. Throws kBadInput on an id outside
/// the vocabulary.
at::Tensor AllIds(const CalibrationSet& calibration, std::int64_t vocab_size);

/// Throws kBadInput where the student is not quantized, the teacher is or has another shape, or the
/// sequences are longer than the model's positions.
void CheckPair(const Checkpoint& student,
               const Checkpoint& teacher,
               const CalibrationSet& calibration);

}  // namespace bitsweep::engine
