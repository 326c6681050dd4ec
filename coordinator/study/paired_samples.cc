#include "coordinator/study/paired_samples.h"

#include <algorithm>
#include <numeric>

#include <absl/strings/str_cat.h>

#include "proto/base/status_macros.h"

namespace bitsweep {
namespace {

/// Samples by the name of their problem.
using ProblemIndex = std::map<std::string, const std::vector<bool>*>;

/// INVALID_ARGUMENT: a name comes twice in `cell`.
absl::StatusOr<ProblemIndex> IndexProblems(const CellOutcomes& cell) {
  ProblemIndex index;
  for (const ProblemOutcomes& problem : cell.problems) {
    if (!index.emplace(problem.problem, &problem.passed).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("problem '", problem.problem, "' comes twice in seed ", cell.seed));
    }
  }
  return index;
}

}  // namespace

absl::Status PairedSamples::Add(const CellOutcomes& baseline, const CellOutcomes& treatment) {
  BITSWEEP_ASSIGN_OR_RETURN(const ProblemIndex first, IndexProblems(baseline));
  BITSWEEP_ASSIGN_OR_RETURN(const ProblemIndex second, IndexProblems(treatment));
  if (first.empty() && second.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("no problems in seed ", baseline.seed));
  }
  for (const auto& [name, passed] : second) {
    if (!first.contains(name)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "problem '", name, "' of seed ", treatment.seed, " is missing in the baseline"));
    }
  }
  for (const auto& [name, passed] : first) {
    const auto other = second.find(name);
    if (other == second.end()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "problem '", name, "' of seed ", baseline.seed, " is missing in the treatment"));
    }
    if (passed->size() != other->second->size() || passed->empty()) {
      return absl::InvalidArgumentError(absl::StrCat("problem '",
                                                     name,
                                                     "' of seed ",
                                                     baseline.seed,
                                                     " has ",
                                                     passed->size(),
                                                     " samples in the baseline and ",
                                                     other->second->size(),
                                                     " in the treatment"));
    }
    AddProblem(name, *passed, *other->second);
  }
  ++seeds_;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<ProblemDifference>> PairedSamples::Differences() const {
  std::vector<ProblemDifference> out;
  for (const auto& [name, by_seed] : by_problem_) {
    if (by_seed.size() != static_cast<std::size_t>(seeds_)) {
      return absl::InvalidArgumentError(
          absl::StrCat("problem '", name, "' is in ", by_seed.size(), " of ", seeds_, " seeds"));
    }
    out.push_back(MeanOf(by_seed));
  }
  return out;
}

void PairedSamples::AddProblem(const std::string& name,
                               const std::vector<bool>& baseline,
                               const std::vector<bool>& treatment) {
  std::int64_t gained = 0, lost = 0;
  for (std::size_t sample = 0; sample < baseline.size(); ++sample) {
    gained += !baseline[sample] && treatment[sample] ? 1 : 0;
    lost += baseline[sample] && !treatment[sample] ? 1 : 0;
  }
  gains_ += gained;
  losses_ += lost;
  const auto samples = static_cast<std::int64_t>(baseline.size());
  samples_ = std::max(samples_, static_cast<int>(samples));
  by_problem_[name].push_back({gained - lost, samples});
}

ProblemDifference PairedSamples::MeanOf(const std::vector<Gain>& by_seed) {
  // A product of three counts of samples below this fits in 64 bits with room to spare.
  constexpr std::int64_t kCommonMax = 1'000'000;
  const auto seeds = static_cast<std::int64_t>(by_seed.size());
  ProblemDifference out;
  std::int64_t common = 1;
  for (const Gain& gain : by_seed) {
    common = common == 0 || gain.samples > kCommonMax ? 0 : std::lcm(common, gain.samples);
    common = common > kCommonMax ? 0 : common;
  }
  for (const Gain& gain : by_seed) {
    out.numerator += common == 0 ? 0 : gain.passes * (common / gain.samples);
    out.value += static_cast<double>(gain.passes) / static_cast<double>(gain.samples);
  }
  out.denominator = common * seeds;
  out.value = common == 0
                  ? out.value / static_cast<double>(seeds)
                  : static_cast<double>(out.numerator) / static_cast<double>(out.denominator);
  return out;
}

}  // namespace bitsweep
