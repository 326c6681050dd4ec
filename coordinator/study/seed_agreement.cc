#include "coordinator/study/seed_agreement.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace bitsweep {
namespace {

double PassRate(const ProblemOutcomes& problem) {
  return static_cast<double>(std::count(problem.passed.begin(), problem.passed.end(), true)) /
         static_cast<double>(problem.passed.size());
}

/// Problem -> its pass rate in each cell that has it, in the order of the cells.
std::map<std::string, std::vector<double>> RatesByProblem(
    const std::vector<const CellOutcomes*>& cells) {
  std::map<std::string, std::vector<double>> rates;
  for (const CellOutcomes* cell : cells) {
    for (const ProblemOutcomes& problem : cell->problems) {
      if (!problem.passed.empty()) {
        rates[problem.problem].push_back(PassRate(problem));
      }
    }
  }
  std::erase_if(rates, [&](const auto& entry) { return entry.second.size() != cells.size(); });
  return rates;
}

/// Fleiss' kappa with two categories; `solved` holds, for each problem, how many of `raters` called
/// it solved.
std::optional<double> FleissKappa(const std::vector<int>& solved, int raters) {
  const double count = raters;
  const auto problems = static_cast<double>(solved.size());
  double agreement = 0, total = 0;
  for (const int yes : solved) {
    const double no = count - yes;
    agreement += (yes * (yes - 1.0) + no * (no - 1.0)) / (count * (count - 1));
    total += yes;
  }
  const double rate = total / (problems * count);
  const double chance = rate * rate + (1 - rate) * (1 - rate);
  return total == 0 || total == problems * count
             ? std::nullopt
             : std::optional((agreement / problems - chance) / (1 - chance));
}

}  // namespace

std::optional<SeedAgreement> AgreementOf(const std::vector<const CellOutcomes*>& cells) {
  const auto rates = RatesByProblem(cells);
  if (cells.size() < 2 || rates.empty()) {
    return std::nullopt;
  }
  SeedAgreement out;
  out.seeds = static_cast<int>(cells.size());
  out.problems = static_cast<int>(rates.size());
  std::vector<double> pass_at_1(cells.size(), 0.0);
  std::vector<int> solved;
  int unanimous = 0;
  for (const auto& [problem, by_seed] : rates) {
    int yes = 0;
    for (std::size_t seed = 0; seed < by_seed.size(); ++seed) {
      pass_at_1[seed] += by_seed[seed] / out.problems;
      yes += by_seed[seed] > 0.5 ? 1 : 0;
    }
    solved.push_back(yes);
    unanimous += yes == 0 || yes == out.seeds ? 1 : 0;
  }
  for (const double value : pass_at_1) {
    out.pass_at_1 += value / out.seeds;
  }
  double squares = 0;
  for (const double value : pass_at_1) {
    squares += (value - out.pass_at_1) * (value - out.pass_at_1);
  }
  out.spread = std::sqrt(squares / (out.seeds - 1));
  out.agreement = static_cast<double>(unanimous) / out.problems;
  out.kappa = FleissKappa(solved, out.seeds);
  return out;
}

}  // namespace bitsweep
