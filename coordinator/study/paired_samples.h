// The samples of two variants paired by (seed, problem, sample index): the counts that exact
// McNemar needs and the differences that tests over problems need. Internal to this room. One
// thread at a time.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "coordinator/study/outcomes.h"
#include "coordinator/study/paired_tests.h"

namespace bitsweep {

class PairedSamples {
 public:
  /// Adds one seed's cells. INVALID_ARGUMENT says what keeps them from being paired: a problem that
  /// one of them lacks or has twice, another number of samples, no problems.
  absl::Status Add(const CellOutcomes& baseline, const CellOutcomes& treatment);

  /// By problem, treatment less baseline: the mean over seeds of the differences within a seed.
  /// INVALID_ARGUMENT: a problem that some seeds lack.
  absl::StatusOr<std::vector<ProblemDifference>> Differences() const;

  /// Samples that pass under the baseline alone, and under the treatment alone, over all seeds.
  std::int64_t losses() const { return losses_; }
  std::int64_t gains() const { return gains_; }
  /// The most samples that a problem has in one seed.
  int samples() const { return samples_; }
  int seeds() const { return seeds_; }

 private:
  struct Gain {
    std::int64_t passes = 0, samples = 0;  // Of the treatment less the baseline's; of each.
  };

  void AddProblem(const std::string& name,
                  const std::vector<bool>& baseline,
                  const std::vector<bool>& treatment);
  static ProblemDifference MeanOf(const std::vector<Gain>& by_seed);

  std::map<std::string, std::vector<Gain>> by_problem_;
  std::int64_t losses_ = 0, gains_ = 0;
  int samples_ = 0, seeds_ = 0;
};

}  // namespace bitsweep
