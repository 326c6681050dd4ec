// Snapshot -> Plan: which ready stage goes to which worker now. Pure and deterministic: any thread.
//
// Order of stages: priority, the oldest sweep, the longest chain of work behind it, age. A stage
// goes to the fitting worker that already holds most bytes of its inputs, then to the one with most
// room. One stage a GPU; CPU stages take a slot, and a worker with n slots gives each of them 1/n
// of its cores.
#pragma once

#include <absl/time/time.h>

#include "coordinator/domain/handlers.h"
#include "coordinator/scheduler/snapshot.h"

namespace bitsweep {

/// Every placement fits, each stage is placed at most once. OnAssign validates them again.
Plan Schedule(const Snapshot& snapshot, absl::Time now);

}  // namespace bitsweep
