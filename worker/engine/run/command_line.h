// The command line of bitsweep-engine: `run`, `version`, and the verbs of the registry, each with
// the common options. Thread rule: main only.
#pragma once

#include "worker/engine/stage.h"
#include "worker/engine/verb.h"

namespace bitsweep::engine {

/// Parses the arguments and runs what they ask for. -> 0 done, 1 failed, 2 usage.
int RunCommandLine(int argc,
                   const char* const* argv,
                   const VerbRegistry& verbs,
                   const StageRegistry& stages);

}  // namespace bitsweep::engine
