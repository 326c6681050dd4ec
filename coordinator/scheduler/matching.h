// Whether a worker could ever run a stage, and if not, what is missing. Pure: any thread.
#pragma once

#include <string>
#include <vector>

#include "proto/contract/session.h"
#include "proto/contract/stage.h"

namespace bitsweep {

enum class Unmet {
  kKind,
  kSemantics,
  kGpus,
  kGpuMemory,
  kHostMemory,
  kCores,
  kIsolation,
  kModel
};

struct UnmetNeed {
  Unmet need = Unmet::kKind;
  std::string text;  // For people: "lacks isolation bubblewrap (has landlock)"
};

/// 3 for "bubblewrap", 2 for "landlock", 1 for "none", 0 for anything else: a worker may run what
/// needs its rank or less.
int IsolationRank(std::string_view isolation);

/// Everything about the offer, idle, that does not meet the needs; empty when it can run such
/// stages.
std::vector<UnmetNeed> UnmetNeeds(StageKind kind,
                                  const StageNeeds& needs,
                                  const WorkerOffer& offer);

/// UnmetNeeds(...).empty(), without making texts: the scheduler's inner loop.
bool CanRun(StageKind kind, const StageNeeds& needs, const WorkerOffer& offer);

}  // namespace bitsweep
