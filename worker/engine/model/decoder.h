// A model with a slotted key/value cache: what continuous batching needs of it. Slots 0..n-1 hold
// the live sequences; a prompt is computed once into a staging slot and copied to each of its
// samples. Thread rule: one thread; decoders of one DecoderModel may run in several threads at
// once.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "worker/engine/checkpoint/checkpoint.h"
#include "worker/engine/model/coded_linear.h"
#include "worker/engine/model/llama.h"
#include "worker/kernels/counter_uniform.h"

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
  /// A sequence's logits are the same bits whatever runs beside it and however many may, on one
  /// model of device; costs speed. Decoders on the CPU are so without it; one on a GPU that cannot
  /// refuses (kBadInput).
  bool batch_invariant = false;
  /// Of a paged cache, at most; 0: as many as memory allows.
  std::int64_t pages_max = 0;
  /// A paged cache takes at most one part in so many of the memory that is free: others follow.
  std::int64_t memory_divisor = 1;
};

/// How a decoder that draws tokens itself does it (worker/kernels/sample_tokens.h).
struct DrawOptions {
  double temperature = 0.0;
  double top_p = 1.0;
  std::uint64_t seed = 0;
};

/// A decoder that keeps prompts apart from the sequences that continue them, chooses the tokens on
/// its device, and runs a step while the host still reads the one before. Sequences are named by
/// the numbers that Start gives. Thread rule: one thread.
class BatchDecoder {
 public:
  virtual ~BatchDecoder() = default;
  /// Sequences at once, at most.
  virtual std::int64_t sequences_max() const = 0;
  /// Tokens that one call of AddPrompts computes well together.
  virtual std::int64_t prompt_tokens_max() const = 0;

  /// Whether prompts of these lengths fit now, and beside them one sequence of each. With nothing
  /// live, one prompt always fits.
  virtual bool CanAdd(const std::vector<std::int64_t>& lengths) const = 0;
  /// Computes the prompts -> their numbers. REQUIRES: CanAdd; each has 1 to positions - 1 tokens.
  virtual std::vector<std::int64_t> AddPrompts(
      const std::vector<const std::vector<std::int64_t>*>& prompts) = 0;
  /// No sequence starts from `prompt` any more.
  virtual void DropPrompt(std::int64_t prompt) = 0;

  /// About how many sequences more fit now.
  virtual std::int64_t room() const = 0;
  /// Whether one more sequence of `prompt` fits, as long as completions have been so far.
  virtual bool CanStart(std::int64_t prompt) const = 0;
  /// A sequence whose first token is drawn from the prompt's logits at the next Launch. The key's
  /// position is 0. REQUIRES: CanStart.
  virtual std::int64_t Start(std::int64_t prompt, const kernels::DrawKey& key) = 0;
  /// Its pages are free for what is launched later.
  virtual void End(std::int64_t sequence) = 0;

  /// Queues one step, which feeds sequences their last token and draws their next -> those that it
  /// steps. Where the cache is full the youngest wait: offer them again; whoever is not offered
  /// cannot go on later. None when all wait for a step to be collected. REQUIRES: none is fed beyond
  /// the decoder's positions; at most two steps are not collected.
  virtual std::vector<std::int64_t> Launch(const std::vector<std::int64_t>& sequences) = 0;
  struct Chosen {
    std::int64_t sequence;
    std::int64_t first;  // The token before `next`, where this step was the sequence's first; else
                         // -1.
    std::int64_t next;
  };
  /// Waits for the earliest step that was not collected. Throws kDiverged on NaN or infinite
  /// logits. REQUIRES: there is one.
  virtual std::vector<Chosen> Collect() = 0;
};

/// The weights, shared by decoders.
class DecoderModel {
 public:
  virtual ~DecoderModel() = default;
  /// On a GPU the decoder may have fewer slots than asked for, where memory ends; one slot that
  /// does not fit throws.
  virtual std::unique_ptr<Decoder> MakeDecoder(const DecoderOptions& options) const = 0;
  /// Null where the model has none that draws tokens itself. Memory as for MakeDecoder.
  virtual std::unique_ptr<BatchDecoder> MakeBatchDecoder(const DecoderOptions& options,
                                                         const DrawOptions& draw) const {
    (void)options;
    (void)draw;
    return nullptr;
  }
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
std::shared_ptr<const DecoderModel> MakeTorchDecoderModel(std::shared_ptr<const LlamaModel> llama);

/// f16 or bf16 with a paged cache and the ops of generation_kernels.h: what a GPU generates with.
/// Null where the device has no such ops, or they do not serve this model (its head size, say).
/// `llama` is on `device`; on the CPU the ops are their references: slow, for tests.
std::shared_ptr<const DecoderModel> MakePagedDecoderModel(std::shared_ptr<const LlamaModel> llama,
                                                          at::Device device);

bool PagedDecoderServes(const ModelConfig& config, at::ScalarType dtype, at::Device device);

/// The same with its layers divided into stretches, each on one device: stretch i begins at layer
/// first_layers[i] (ascending, the first is 0) and lies where that layer's block is; the embedding
/// lies with the first stretch, norm and head with the last.
std::shared_ptr<const DecoderModel> MakePagedDecoderModel(
    std::shared_ptr<const LlamaModel> llama, const std::vector<std::int64_t>& first_layers);

/// Where `stretches` even stretches of `layers` layers begin. REQUIRES: 1 <= stretches <= layers.
std::vector<std::int64_t> EvenStretches(std::int64_t layers, std::int64_t stretches);

/// The one that fits: the CPU loops for f32 on the CPU, the paged cache on a GPU where it can, torch
/// elsewhere. Throws kBadInput where CheckNumerics does, kOomGpu where the weights cannot fit.
std::shared_ptr<const DecoderModel> MakeDecoderModel(const Checkpoint& checkpoint,
                                                     at::ScalarType dtype,
                                                     at::Device device);

/// How many of `devices` GPUs, each with so much free memory, a replica's layers are divided over: the
/// fewest that divide `devices` and leave a seventh of the memory to a cache; else all.
std::int64_t DevicesPerReplica(std::int64_t weight_bytes,
                               std::int64_t free_bytes,
                               std::int64_t devices,
                               std::int64_t layers);

/// In which form an AQLM checkpoint's linears are kept on a GPU.
enum class WeightsForm {
  kAuto,      // Expanded where that fits, else codes (ChooseWeights).
  kExpanded,  // Decoded once, when loaded.
  kCodes,     // Looked up, or expanded product by product.
};

struct WeightsChoice {
  bool codes;
  std::string why;  // For logs.
};

/// Expanded where `devices` GPUs with `free_bytes` each hold the model so, its layers divided over
/// `split` of them (0: over as many as it takes); else codes, if it has any. Throws kBadInput where
/// codes are asked for and no linear has them.
WeightsChoice ChooseWeights(WeightsForm form,
                            const WeightBytes& bytes,
                            std::int64_t free_bytes,
                            std::int64_t devices,
                            std::int64_t split,
                            std::int64_t layers);

struct PlacedModel {
  std::shared_ptr<const DecoderModel> model;
  at::Device device;  // The first one of those that it lies on.
  int decoders = 1;   // So many at once keep all of these at work.
  WeightsChoice weights = {false, ""};
};

/// As many replicas as `devices` hold: one on each, or, where the weights and some cache do not fit
/// one, one on each group of neighbours, as small as it can be, its layers divided evenly. `split`
/// is the size of a group, 0: chosen so. The first replica is read and expanded from the files, the
/// others are copies of it. Throws as MakeDecoderModel, and kBadInput where `split` does not divide
/// the number of devices or the model has no paged cache there, and where codes are to be kept that
/// there are none of, or without a paged cache.
std::vector<PlacedModel> PlaceDecoderModels(const Checkpoint& checkpoint,
                                            at::ScalarType dtype,
                                            const std::vector<at::Device>& devices,
                                            std::int64_t split,
                                            WeightsForm weights = WeightsForm::kAuto);

}  // namespace bitsweep::engine
