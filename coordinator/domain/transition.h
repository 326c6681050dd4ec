// What moves with a stage's state: counters, the ready index, the graph around it, cells and
// sweeps. The handlers' common ground; not for other rooms. Runs on: core strand.
#pragma once

#include <string_view>

#include <absl/time/time.h>

#include "coordinator/domain/core.h"
#include "coordinator/domain/effects.h"
#include "coordinator/domain/stage.h"

namespace bitsweep::internal {

/// Applies `transition`, records it, and lets everything that depends on the stage follow:
/// downstream stages are unblocked, blocked or made ready; cells and sweeps are derived again.
/// REQUIRES: the table has the edge.
void Transition(Core& core, Effects& out, Stage& stage, StageTransition transition, absl::Time now);

/// Ends the current attempt without a result: back to ready, or failed for good when the retry
/// policy of `failure` says so. The worker is released but not told. REQUIRES: the stage is held.
void LoseAttempt(Core& core,
                 Effects& out,
                 Stage& stage,
                 FailureClass failure,
                 std::string_view message,
                 absl::Time now);

/// Notes a failed attempt in the stage's sweeps.
void NoteFailure(Core& core,
                 Effects& out,
                 const Stage& stage,
                 const Holding& holding,
                 FailureClass failure,
                 std::string_view message,
                 bool final,
                 absl::Time now);

/// Adds a stage that is not yet known and wires it to its upstreams, which are. Emits StageAdded.
Stage& AddStage(Core& core,
                Effects& out,
                std::shared_ptr<const StageDefinition> definition,
                absl::Time now);
/// Adds a stage that is not yet known as one that has succeeded elsewhere. Emits StageAdded and
/// ArtifactPublished. REQUIRES: no upstream.
Stage& AddImportedStage(Core& core,
                        Effects& out,
                        std::shared_ptr<const StageDefinition> definition,
                        std::shared_ptr<const ArtifactManifest> artifact,
                        absl::Time now);
/// Puts a stage into its core's graph and counters. REQUIRES: upstreams are there. Restore uses it
/// too.
void WireStage(Core& core, Stage& stage);

/// Makes `sweep` refer to the stage and (first) to everything upstream of it; brings back cancelled
/// and failed ones.
void WantStage(Core& core, Effects& out, Sweep& sweep, Stage& stage, absl::Time now);

/// Fills the cell's stage pointers from its definition and registers it with those stages.
void AttachCell(Core& core, Sweep& sweep, std::int32_t cell);

/// Derived values, recomputed. DeriveCell returns whether the state changed.
bool DeriveCell(Effects& out, Sweep& sweep, std::int32_t cell);
void DeriveSweep(Core& core, Effects& out, Sweep& sweep, absl::Time now);
/// After a change of priority, pause or liveness: ranks every stage of the sweep again.
void RefreshWants(Core& core, Sweep& sweep);
/// Recomputes runnable, priority and age from the stage's sweeps, and its place in the ready index.
void Rerank(Core& core, Stage& stage);

/// Worker accounting.
void Hold(Worker& worker, Stage& stage);
void Release(Core& core, Stage& stage);

/// Records the counters if they differ from `before`.
void RecordCounters(const Core& core, Effects& out, const Counters& before);

}  // namespace bitsweep::internal
