// The stage kind `generate` (proto/README.md). Thread rule: main only.
#pragma once

#include "worker/engine/stage.h"

namespace bitsweep::engine {

/// Members, beyond what proto/README.md names: `sampling.early_stop` "none|class|function" (default
/// class, see completion.h), `batch.slots`, the most sequences at once in one replica (default:
/// what half of the available memory holds, at most 256 on the CPU; 1,024 on a GPU) and
/// `batch.split`, the GPUs that the layers of one replica are divided over (default: as few as hold
/// it). Writes output/completions.jsonl, in benchmark order, samples ascending, whole or not at
/// all. A stage that is started again begins anew: generation is short, and its draws do not depend
/// on what was there.
void RegisterGenerateStages(StageRegistry& registry);

}  // namespace bitsweep::engine
