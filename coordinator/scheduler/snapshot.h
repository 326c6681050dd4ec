// What the scheduler looks at: workers with room, and the best ready stages of each class. Values,
// cut off from Core, so that Schedule is a pure function. Built on the core strand; any thread may
// schedule from it.
#pragma once

#include <cstdint>
#include <unordered_set>
#include <vector>

#include "coordinator/domain/core.h"

#include "proto/base/ids.h"
#include "proto/contract/session.h"
#include "proto/contract/stage.h"

namespace bitsweep {

struct Candidate {
  StageKey stage;
  std::int64_t serial = 0;
  int priority = 0;
  std::int64_t oldest_sweep = 0;
  double critical_path = 0;
  struct Input {
    std::int64_t serial = 0;  // Of the upstream stage.
    std::int64_t bytes = 0;   // Of its artifact.
  };
  std::vector<Input> inputs;
};

/// Ready stages of equal kind and needs, best first; no more than the workers could take at once.
struct CandidateClass {
  StageKind kind = StageKind::kInspect;
  StageNeeds needs;
  std::vector<Candidate> candidates;
};

struct WorkerRoom {
  WorkerId id;
  const WorkerOffer* offer = nullptr;                           // Lives in Core.
  const std::unordered_set<std::int64_t>* artifacts = nullptr;  // Lives in Core: serials of stages.
  int slots_free = 0, gpus_free = 0;
  std::int64_t host_bytes_free = 0;
};

struct Snapshot {
  std::vector<WorkerRoom> workers;      // Connected, with a free slot or GPU; by id.
  std::vector<CandidateClass> classes;  // Not empty ones.
};

/// Cost: O(workers + classes * free room), not O(stages). The snapshot is valid until the Core
/// changes.
Snapshot TakeSnapshot(const Core& core);

}  // namespace bitsweep
