// The verbs `quantize` and `quantize-linear` by hand.
// Thread rule: main only.
#pragma once

#include "worker/engine/verb.h"

namespace bitsweep::engine {

/// `quantize MODEL_DIR --codebooks M --codebook-bits B --group-size 8 --calibration FILE.jsonl
/// --sequences N --sequence-length L --seed S --output DIR [--window random|first|pack]
/// [--validation N] ...`: builds a `quantize` spec.
/// `quantize-linear --input FILE.safetensors --codebooks M --codebook-bits B --seed S`: `weight`
/// [O, in] and `xtx` [in, in] in, {"relative_loss", "seconds", ...} on standard output.
void RegisterQuantizeVerbs(VerbRegistry& registry);

}  // namespace bitsweep::engine
