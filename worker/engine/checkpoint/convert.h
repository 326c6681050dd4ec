// Converts an AQLM checkpoint between the interchange form (codes as int8 or int16, which
// transformers loads) and the packed form (codes as a bit stream, README.md), without loss.
// Thread rule: one thread.
#pragma once

#include <string>

#include "worker/engine/checkpoint/measure.h"
#include "worker/engine/events.h"

namespace bitsweep::engine {

enum class CodesForm {
  kUnpacked,
  kPacked,
};

struct Conversion {
  CheckpointSize before;
  CheckpointSize after;
};

/// Reads the folder `in` and writes `out` in `form`: weights, index and config converted, every
/// other file at the top of `in` copied (tokenizer, licence, report). `out` appears whole or not at
/// all: it is written beside its place, opened again and compared with `in` tensor by tensor, and
/// renamed. An `out` that exists is refused unless `force`, which replaces a checkpoint or an empty
/// folder and nothing else. Throws kBadInput: `in` is not quantized, or in that form already; `out`
/// lies in `in` or the other way round. kDiskFull: what was written is removed.
Conversion ConvertCheckpoint(
    const std::string& in, const std::string& out, CodesForm form, bool force, Events& events);

}  // namespace bitsweep::engine
