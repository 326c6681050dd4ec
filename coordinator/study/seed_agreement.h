// How far several seeds of one variant agree. Internal to this room (SeedAgreement stands in
// question_tests.h). Pure free functions: any thread.
#pragma once

#include <optional>
#include <vector>

#include "coordinator/study/outcomes.h"
#include "coordinator/study/question_tests.h"

namespace bitsweep {

/// Over the problems that every cell has; names (`model`, `variant`...) are left to the caller.
/// `cells` are one variant's on one benchmark and language, one a seed. nullopt with fewer than two
/// cells or no shared problem.
std::optional<SeedAgreement> AgreementOf(const std::vector<const CellOutcomes*>& cells);

}  // namespace bitsweep
