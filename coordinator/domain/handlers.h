// The events of the coordinator: each is a free function that changes Core and collects Effects. No
// clock, no I/O. Runs on: core strand. None of them fails half-way: a refused event leaves Core and
// Effects unchanged.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include "coordinator/domain/core.h"
#include "coordinator/domain/effects.h"
#include "coordinator/domain/verdict.h"

#include "proto/contract/cell.h"
#include "proto/contract/session.h"

namespace bitsweep {

struct SubmitReceipt {
  SweepId sweep;
  std::string name;
  bool existed = false;  // The request id was known; the rest describes the first submission.
  int cells = 0, stages = 0, cached = 0;
};

/// Adds the sweep with its cells and inspect stages (of which some may be shared or cached).
/// INVALID_ARGUMENT: the plan has no cell, repeats a cell id, or a cell or stage names a key that
/// is neither in the plan nor known.
absl::StatusOr<SubmitReceipt> OnSubmit(
    Core& core, Effects& out, const Submission& submission, const SweepPlan& plan, absl::Time now);

/// A stage whose work was done elsewhere: it has succeeded before it is known here.
struct DoneElsewhere {
  StageDefinition definition;  // No upstream, no input.
  std::string summary;         // JSON.
  std::vector<VerdictRow> verdicts;  // Of a grade stage, at least one; else none.
};

/// Adds a sweep whose every cell has succeeded, with stages that nobody ran: they have no attempt in
/// any history and no lease. A stage that is known already is shared. INVALID_ARGUMENT: as OnSubmit,
/// a cell without its grade stage in `stages`, or a stage or verdict that is not as above.
/// FAILED_PRECONDITION: a stage is known and was not imported.
absl::StatusOr<SubmitReceipt> OnImport(Core& core,
                                       Effects& out,
                                       const Submission& submission,
                                       const std::vector<CellDefinition>& cells,
                                       std::vector<DoneElsewhere> stages,
                                       absl::Time now);

/// Completes the cells of the model behind `inspect` and adds their stages; equal keys are one
/// stage across sweeps. Does nothing when that model is already planned or the sweep has ended.
/// NOT_FOUND: no such sweep or model. INVALID_ARGUMENT: as OnSubmit, or a cell of the plan is not
/// one of that model's.
absl::Status OnModelPlanned(Core& core,
                            Effects& out,
                            SweepId sweep,
                            const StageKey& inspect,
                            const SweepPlan& plan,
                            absl::Time now);

/// The model cannot be planned (for one, its config.json is not supported): its cells fail with
/// `message`. NOT_FOUND as above.
absl::Status OnPlanFailed(Core& core,
                          Effects& out,
                          SweepId sweep,
                          const StageKey& inspect,
                          std::string_view message,
                          absl::Time now);

/// A worker's session began. Answers Registered with the fences to keep; anything that the
/// coordinator thought an earlier registration of the same name held, and that is not in `held`, is
/// lost at once. The earlier session is closed.
WorkerId OnWorkerRegistered(Core& core,
                            Effects& out,
                            const WorkerOffer& offer,
                            const std::vector<Fence>& held,
                            absl::Time now);

/// Anything that a registered worker says. `verdicts`: with StageSucceeded of a grade stage, its
/// rows (the app parses them out of the artifact first, and says StageFailed instead when it
/// cannot); else empty. A message whose fence is not the stage's current one is counted and not
/// applied; a stale result is acknowledged as stale, so that the worker forgets it. A repeated
/// result of the attempt that ended the stage is acknowledged again. NOT_FOUND: no such worker;
/// close the session.
absl::Status OnWorkerMessage(Core& core,
                             Effects& out,
                             WorkerId worker,
                             const WorkerMessage& message,
                             std::vector<VerdictRow> verdicts,
                             absl::Time now);

/// The stream broke. The worker keeps its stages until kWorkerLostAfter after it was last seen.
void OnWorkerDisconnected(Core& core, Effects& out, WorkerId worker, absl::Time now);

/// Time passed: lost workers, attempts that nobody confirms or re-attaches, retries that are due.
void OnTick(Core& core, Effects& out, absl::Time now);

/// Where the scheduler wants a stage.
struct Placement {
  StageKey stage;
  WorkerId worker;
  int cores = 1;
  friend bool operator==(const Placement&, const Placement&) = default;
};
using Plan = std::vector<Placement>;

/// Leases what still can be: a placement whose stage is no longer ready or wanted, or whose worker
/// has gone or has no room, is dropped. Returns how many were leased.
int OnAssign(Core& core, Effects& out, const Plan& plan, absl::Time now);

// What users ask of a sweep. Each returns how many stages changed. NOT_FOUND: no such sweep.

/// Stages that no other live sweep wants are cancelled, running ones killed. FAILED_PRECONDITION:
/// the sweep has ended (cancelling a cancelled sweep again is no error and changes nothing).
absl::StatusOr<int> OnCancelSweep(
    Core& core, Effects& out, SweepId sweep, std::string_view reason, absl::Time now);
/// Nothing new is started for this sweep; what runs goes on. FAILED_PRECONDITION: ended.
absl::StatusOr<int> OnPause(Core& core, Effects& out, SweepId sweep, absl::Time now);
absl::StatusOr<int> OnResume(Core& core, Effects& out, SweepId sweep, absl::Time now);
/// Failed stages run again, with a fresh count of attempts; what they blocked waits again; models
/// that could not be planned are inspected again. FAILED_PRECONDITION: the sweep was cancelled.
absl::StatusOr<int> OnRetry(Core& core, Effects& out, SweepId sweep, absl::Time now);

/// The artifact of a succeeded stage is lost or corrupt: it is made again. NOT_FOUND,
/// FAILED_PRECONDITION: not succeeded, or imported: nobody here can make it again.
absl::Status OnArtifactLost(Core& core, Effects& out, const StageKey& stage, absl::Time now);

/// After Restore: repeats the requests that a crash may have swallowed (plans of models) and brings
/// derived states up to date.
void OnRestored(Core& core, Effects& out, absl::Time now);

}  // namespace bitsweep
