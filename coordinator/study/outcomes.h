// Verdicts of finished cells, sample by sample: what the paired tests, pass@k and an export read.
// Plain values: any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bitsweep {

struct ProblemOutcomes {
  std::string problem;
  std::vector<bool> passed;  // By sample index.
};

/// The verdicts of one finished cell at one seed. Labels are the sweep's; "fp16" and "none" where
/// there is none, calibration "unspecified" where an import did not say.
struct CellOutcomes {
  std::string model, family, params, precision, calibration, finetuned, benchmark, language;
  std::int64_t seed = 0;
  std::vector<ProblemOutcomes> problems;  // Names are distinct; the order means nothing.
};

}  // namespace bitsweep
