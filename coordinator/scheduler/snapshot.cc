#include "coordinator/scheduler/snapshot.h"

#include <algorithm>

namespace bitsweep {
namespace {

Candidate CandidateOf(const Stage& stage) {
  Candidate candidate{
      stage.key(), stage.serial(), stage.priority, stage.oldest_sweep, stage.critical_path, {}};
  candidate.inputs.reserve(stage.upstream.size());
  for (const Stage* upstream : stage.upstream) {
    std::int64_t bytes = 0;
    if (upstream->artifact() != nullptr) {
      for (const ArtifactFile& file : upstream->artifact()->files) {
        bytes += file.size;
      }
    }
    candidate.inputs.push_back({upstream->serial(), bytes});
  }
  return candidate;
}

}  // namespace

Snapshot TakeSnapshot(const Core& core) {
  Snapshot snapshot;
  std::size_t room = 0;
  for (const auto& [id, worker] : core.workers) {
    const int slots = std::max(0, worker.SlotsFree());
    const int gpus = std::max(0, worker.GpusFree());
    if (worker.state != WorkerState::kConnected || slots + gpus == 0) {
      continue;
    }
    snapshot.workers.push_back({id,
                                &worker.offer,
                                &worker.artifacts,
                                slots,
                                gpus,
                                worker.offer.host_bytes - worker.host_bytes_used});
    room += static_cast<std::size_t>(slots + gpus);
  }
  if (room == 0) {
    return snapshot;
  }
  for (const ReadyClass& ready : core.ready) {
    if (ready.stages.empty()) {
      continue;
    }
    CandidateClass& group = snapshot.classes.emplace_back();
    group.kind = ready.kind;
    group.needs = ready.needs;
    for (auto stage = ready.stages.begin();
         stage != ready.stages.end() && group.candidates.size() < room;
         ++stage) {
      group.candidates.push_back(CandidateOf(**stage));
    }
  }
  return snapshot;
}

}  // namespace bitsweep
