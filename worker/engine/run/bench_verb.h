// The verb `bench NAME`: measures with synthetic weights and prints a table.
// Thread rule: main only.
#pragma once

#include "worker/engine/bench.h"
#include "worker/engine/verb.h"

namespace bitsweep::engine {

/// `bench quantize [options]`, ...: one subcommand a row of `benches`.
void RegisterBenchVerb(VerbRegistry& verbs, const BenchRegistry& benches);

}  // namespace bitsweep::engine
