// 95% intervals of pass@1 for tables, by resampling problems: samples of one problem are not
// independent, so resampling samples would make them too narrow. Plain values and free functions:
// any thread.
#pragma once

#include <string_view>
#include <vector>

#include "coordinator/study/outcomes.h"
#include "coordinator/study/tables.h"

namespace bitsweep {

/// Percentile bootstrap of the mean over problems of c/n, where a problem's value is its mean over
/// seeds; 10,000 resamples, the same for the same outcomes. What it answers copies `outcomes` down
/// to one number a problem. nullopt for rows without outcomes on `benchmark`, with fewer than two
/// problems, or with fewer seeds than `seeds`: the figure beside it is a mean of all.
decltype(TableOptions::interval) IntervalsOf(const std::vector<CellOutcomes>& outcomes,
                                             std::string_view benchmark,
                                             std::size_t seeds);

}  // namespace bitsweep
