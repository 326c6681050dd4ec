// The verbs `inspect`, `convert` and `tokenize` by hand. Thread rule: main only.
#pragma once

#include "worker/engine/verb.h"

namespace bitsweep::engine {

/// `inspect DIR [--output text|json]`: the manifest, and beyond it architecture, shape and
/// effective bits. `convert IN OUT --packed|--unpacked [--force]`: ConvertCheckpoint.
/// `tokenize DIR`: JSON lines {"text": ...} on standard input, {"ids": [...],
/// "decoded": ...} on standard output.
void RegisterCheckpointVerbs(VerbRegistry& registry);

}  // namespace bitsweep::engine
