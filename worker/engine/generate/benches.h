// `bench generate` and `bench codebooks`. Thread rule: main only.
#pragma once

#include "worker/engine/bench.h"

namespace bitsweep::engine {

/// `bench generate [--problems N] [--samples N] [--prompt T] [--new T] [--slots N] ...`: generates
/// with a model of random weights (by default of CodeLlama-7B's shape) on the devices and in the
/// dtype of the common options, a replica on each, and prints tokens a second, the milliseconds of
/// a step, and its share of what the memory's bandwidth would allow. `--json FILE` writes the same;
/// `--tokens FILE` writes prompts and completions, for comparisons.
/// `--weights codes` keeps the linears as random codes (`--codebooks M --codebook-bits B`).
///
/// `bench codebooks [--outputs O,..] [--inputs N] [--codebooks M] [--codebook-bits B]
/// [--rows n,..]`: one product of such linears for each number of rows: by look-up, expanded and
/// then multiplied, and with dense weights.
void RegisterGenerateBenches(BenchRegistry& benches);

/// The options of `bench codebooks`.
DirectVerb ConfigureCodebookBench(CLI::App& app);

}  // namespace bitsweep::engine
