// Sample outcomes as the study's room reads them. Pure free functions: any thread.
#pragma once

#include <vector>

#include "coordinator/store/store.h"
#include "coordinator/study/outcomes.h"

namespace bitsweep {

/// The verdicts of the finished cells. `samples` is ordered by cell and problem, as the store gives
/// it; what belongs to no finished cell is passed over.
std::vector<CellOutcomes> OutcomesOf(const std::vector<StoredCell>& cells,
                                     const std::vector<SampleOutcomeRow>& samples);

}  // namespace bitsweep
