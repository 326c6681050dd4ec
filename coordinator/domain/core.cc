#include "coordinator/domain/core.h"

#include <tuple>

namespace bitsweep {

bool ReadyOrder::operator()(const Stage* a, const Stage* b) const {
  return std::make_tuple(-a->priority, a->oldest_sweep, -a->critical_path, a->serial()) <
         std::make_tuple(-b->priority, b->oldest_sweep, -b->critical_path, b->serial());
}

Stage* Core::FindStage(const StageKey& key) const {
  const auto place = stages.find(key);
  return place != stages.end() ? place->second.get() : nullptr;
}

Sweep* Core::FindSweep(SweepId id) const {
  const auto place = sweeps.find(id);
  return place != sweeps.end() ? place->second.get() : nullptr;
}

Worker* Core::FindWorker(WorkerId id) {
  const auto place = workers.find(id);
  return place != workers.end() ? &place->second : nullptr;
}

const Worker* Core::FindWorker(WorkerId id) const {
  const auto place = workers.find(id);
  return place != workers.end() ? &place->second : nullptr;
}

}  // namespace bitsweep
