// The model's verb by hand: `logits`. Thread rule: main only.
#pragma once

#include "worker/engine/verb.h"

namespace bitsweep::engine {

/// `logits MODEL_DIR --input FILE.safetensors --output FILE.safetensors [--greedy N]`: reads
/// input_ids [T] i32 (or i64), writes logits [T, V] f32; with --greedy also greedy [T + up to N]
/// i32, which ends early at an end-of-text id (included) or at the model's positions. The logits
/// come from the cacheless forward pass, the greedy tokens from the decoder that `generate` uses.
void RegisterModelVerbs(VerbRegistry& registry);

}  // namespace bitsweep::engine
