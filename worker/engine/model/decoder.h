// A model with a slotted key/value cache: what continuous batching needs of it. Slots 0..n-1 hold
// the live sequences; a prompt is computed once into a staging slot and copied to each of its
// samples. Thread rule: one thread; decoders of one DecoderModel may run in several threads at
// once.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include "worker/engine/checkpoint/checkpoint.h"

namespace bitsweep::engine {

class Decoder {
 public:
  virtual ~Decoder() = default;
  virtual std::int64_t slots() const = 0;

  /// Computes a prompt's keys and values into the staging slot. -> logits [1, V] f32 of its last
  /// token, on the model's device, valid until the next call. REQUIRES: 1 <= ids.size() <=
  /// positions.
  virtual at::Tensor Prefill(const std::vector<std::int64_t>& ids) = 0;
  /// Copies the staged prompt to `slot`.
  virtual void Place(std::int64_t slot) = 0;
  /// Copies the first `length` positions of slot `from` to slot `to`.
  virtual void Move(std::int64_t from, std::int64_t to, std::int64_t length) = 0;
  /// Feeds tokens[i] at positions[i] of slot i, for i in 0..n-1 -> logits [n, V] f32, valid until
  /// the next call.
  virtual at::Tensor Step(const std::vector<std::int64_t>& tokens,
                          const std::vector<std::int64_t>& positions) = 0;
};

struct DecoderOptions {
  std::int64_t slots = 1;      // Live sequences at once.
  std::int64_t positions = 1;  // Prompt and completion tokens of one sequence.
};

/// The weights, shared by decoders.
class DecoderModel {
 public:
  virtual ~DecoderModel() = default;
  /// On a GPU the decoder may have fewer slots than asked for, where memory ends; one slot that
  /// does not fit throws.
  virtual std::unique_ptr<Decoder> MakeDecoder(const DecoderOptions& options) const = 0;
  /// Bytes of cache for one slot of `positions`.
  virtual std::int64_t SlotBytes(std::int64_t positions) const = 0;
  /// May decoders run in several threads (own loops on the CPU), or does one already use them all
  /// (torch)?
  virtual bool threads_decode_alone() const = 0;
};

/// f32 on the CPU with the loops of cpu_kernels.h. Reads block after block, so that it needs the
/// f32 weights and one block more. Completions do not depend on the batch: every row is computed
/// the same way whatever runs beside it.
std::shared_ptr<const DecoderModel> MakeCpuDecoderModel(const Checkpoint& checkpoint);

/// Any device and dtype with torch's operations: what CUDA and bf16 use, and the reference of the
/// CPU loops' test.
std::shared_ptr<const DecoderModel> MakeTorchDecoderModel(const Checkpoint& checkpoint,
                                                          at::ScalarType dtype,
                                                          at::Device device);

/// The one of the two that fits: the CPU loops for f32 on the CPU, torch elsewhere. Throws
/// kBadInput where CheckNumerics does.
std::shared_ptr<const DecoderModel> MakeDecoderModel(const Checkpoint& checkpoint,
                                                     at::ScalarType dtype,
                                                     at::Device device);

}  // namespace bitsweep::engine
