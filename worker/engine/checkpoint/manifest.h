// A model's identity: the name, size and SHA-256 of each of its files, and one digest over them.
// Every stage key that starts from the model contains that digest (proto/README.md, `inspect`).
// Thread rule: any thread.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "worker/engine/checkpoint/checkpoint.h"
#include "worker/engine/events.h"

namespace bitsweep::engine {

/// The manifest of proto/README.md. `tokenizer` is null, with a warning, where the folder has no
/// tokenizer.json. Reports progress in bytes. Throws kBadInput as Tokenizer::Load does.
nlohmann::json MakeManifest(const Checkpoint& checkpoint, Events& events);

}  // namespace bitsweep::engine
