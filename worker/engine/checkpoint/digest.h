// Which values a checkpoint holds. Thread rule: any thread.
#pragma once

#include <string>

#include "worker/engine/checkpoint/checkpoint.h"

namespace bitsweep::engine {

/// SHA-256 over names and bytes of all tensors, in the order of their names; reads every file.
std::string DigestOf(const Checkpoint& checkpoint);

}  // namespace bitsweep::engine
