// Cells of outcomes for tests: written by hand, and the study's own where they lie beside the
// checkout.
#pragma once

#include <string>
#include <vector>

#include "coordinator/study/outcomes.h"

namespace bitsweep {

/// "1100 0000 1" -> three problems named p0, p1, p2.
inline std::vector<ProblemOutcomes> Problems(const std::string& bits) {
  std::vector<ProblemOutcomes> problems = {{"p0", {}}};
  for (const char c : bits) {
    if (c == ' ') {
      problems.push_back({"p" + std::to_string(problems.size()), {}});
    } else {
      problems.back().passed.push_back(c == '1');
    }
  }
  return problems;
}

}  // namespace bitsweep
