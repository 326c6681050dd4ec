// The verb `generate` by hand. Thread rule: main only.
#pragma once

#include "worker/engine/verb.h"

namespace bitsweep::engine {

/// `generate MODEL_DIR --benchmark FILE --samples N --temperature T --top-p P --max-tokens-total L
/// --seed S
/// --output FILE.jsonl [--early-stop none|class|function] [--batch N]`: builds a `generate` spec
/// and moves its completions to FILE.jsonl.
void RegisterGenerateVerbs(VerbRegistry& registry);

}  // namespace bitsweep::engine
