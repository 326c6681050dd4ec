// The stage kind `generate` (proto/README.md). Thread rule: main only.
#pragma once

#include "worker/engine/stage.h"

namespace bitsweep::engine {

/// Members, beyond what proto/README.md names: `sampling.early_stop` "none|class|function" (default
/// class, see completion.h) and `batch.slots`, the most sequences at once (default: what half of
/// the available memory holds, at most 256 on the CPU and 512 on a GPU). Writes
/// output/completions.jsonl, in benchmark order, samples ascending, whole or not at all. A stage
/// that is started again begins anew: generation is short, and its draws do not depend on what was
/// there.
void RegisterGenerateStages(StageRegistry& registry);

}  // namespace bitsweep::engine
