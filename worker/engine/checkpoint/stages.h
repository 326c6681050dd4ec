// The stage kind `inspect` (proto/README.md). Thread rule: main only.
#pragma once

#include "worker/engine/stage.h"

namespace bitsweep::engine {

/// inspect: {"model": {"dir": D}} -> output/manifest.json. The summary repeats digest, parameters,
/// weights_bytes, effective_bits (codes packed), effective_bits_stored.
void RegisterCheckpointStages(StageRegistry& registry);

}  // namespace bitsweep::engine
