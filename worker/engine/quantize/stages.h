// The stage kind `quantize` (proto/README.md).
// Thread rule: main only.
#pragma once

#include "worker/engine/stage.h"

namespace bitsweep::engine {

/// model.dir, method (method_options.h), calibration {parts [{file, sequences, window,
/// min_tokens}], validation, sequence_length, seed}. Writes an HF AQLM checkpoint and report.json
/// into the output folder; goes on where an earlier attempt in the same folder stopped.
void RegisterQuantizeStages(StageRegistry& registry);

}  // namespace bitsweep::engine
