// Block fine-tuning (arXiv 2401.06118, section 3.4): after a block's codes are found, its
// codebooks, scales and norms are trained until the block's outputs come as near as they can to
// those of the full-precision block on the same inputs. Codes stay. Thread rule: one thread calls.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include <ATen/core/Tensor.h>

#include "worker/engine/checkpoint/checkpoint.h"
#include "worker/engine/finetune/products.h"
#include "worker/engine/finetune/trainer.h"
#include "worker/engine/model/llama.h"
#include "worker/engine/strict_object.h"

namespace bitsweep::engine {

/// `method.block_tuning` of a quantize stage; defaults are the study's.
struct BlockTuneOptions {
  double learning_rate = 1e-5;
  int epochs = 10;
  int early_stop = 3;
  std::int64_t batch = 8;  // Sequences a step. Adam's betas are 0.9 and 0.95.
  Products products = Products::kF32;
};

/// Every member is optional. Throws kBadInput naming member, value and what is allowed.
BlockTuneOptions ReadBlockTuning(StrictObject object);
nlohmann::json ToJson(const BlockTuneOptions& options);

struct BlockTuneProblem {
  std::int64_t layer = 0;
  const ModelConfig* config = nullptr;
  const RopeTable* rope = nullptr;
  at::Tensor train_inputs, train_targets;            // [sequences, T, h], any dtype and device
  at::Tensor validation_inputs, validation_targets;  // Likewise; [0, T, h] without validation.
  std::uint64_t seed = 0;
  int threads = 1;
};

/// Trains in f32 on the inputs' device and replaces codebooks, scales (f32 on the CPU) and norms
/// (f32 on the device) by the best state's. The loss is the mean over all elements of (block(X) -
/// Y)^2 on the validation sequences, or, where there are none, on up to kMeasuredMax training
/// sequences. `on_epoch` gets the curve so far, first with no epoch in it. Throws kDiverged naming
/// block, epoch, step and learning rate.
TrainState TuneBlock(const BlockTuneProblem& problem,
                     const BlockTuneOptions& options,
                     const std::function<void(const TrainState&)>& on_epoch,
                     std::map<std::string, QuantizedLinear>* linears,
                     at::Tensor* input_layernorm,
                     at::Tensor* post_attention_layernorm);

/// Training sequences that are measured where no validation sequences are held out.
inline constexpr std::int64_t kMeasuredMax = 16;

/// The numbers of the sequences that train (0 .. train - 1) and of those that are measured
/// (train .. train + validation - 1, or the first of the training ones).
void NumberSequences(std::int64_t train, std::int64_t validation, TrainProblem* problem);

}  // namespace bitsweep::engine
