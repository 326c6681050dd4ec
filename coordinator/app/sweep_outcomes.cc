#include "coordinator/app/sweep_outcomes.h"

#include <map>

namespace bitsweep {
namespace {

CellOutcomes Head(const CellResult& cell) {
  CellOutcomes out;
  out.model = cell.model;
  out.family = cell.family;
  out.params = cell.params;
  out.precision = cell.precision;
  out.calibration = cell.calibration;
  out.finetuned = cell.finetuned;
  out.benchmark = cell.benchmark;
  out.language = cell.language;
  out.seed = cell.seed;
  return out;
}

}  // namespace

std::vector<CellOutcomes> OutcomesOf(const std::vector<StoredCell>& cells,
                                     const std::vector<SampleOutcomeRow>& samples) {
  std::vector<CellOutcomes> out;
  std::map<std::string, std::size_t> places;
  for (const StoredCell& cell : cells) {
    if (cell.result.state == "succeeded") {
      places[cell.id] = out.size();
      out.push_back(Head(cell.result));
    }
  }
  for (const SampleOutcomeRow& row : samples) {
    const auto place = places.find(row.cell);
    if (place == places.end()) {
      continue;
    }
    std::vector<ProblemOutcomes>& problems = out[place->second].problems;
    if (problems.empty() || problems.back().problem != row.verdict.problem) {
      problems.push_back({row.verdict.problem, {}});
    }
    problems.back().passed.push_back(row.verdict.passed);
  }
  return out;
}

}  // namespace bitsweep
