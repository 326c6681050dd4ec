// `bench quantize`. Thread rule: main only.
#pragma once

#include "worker/engine/bench.h"

namespace bitsweep::engine {

/// `bench quantize [--shapes OxI,...] [--configs MxB,...] [--seeds N] [--method JSON]`: quantizes
/// synthetic linears of these shapes and prints, for each shape and configuration, the median and
/// the range of the seconds, the relative loss, and the search's candidates a second.
void RegisterQuantizeBenches(BenchRegistry& benches);

}  // namespace bitsweep::engine
