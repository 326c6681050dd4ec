// Sweeps whose work was done elsewhere.
#include <memory>
#include <unordered_set>
#include <utility>

#include "coordinator/domain/handlers.h"
#include "coordinator/domain/result.h"
#include "coordinator/domain/text.h"
#include "coordinator/domain/transition.h"

#include "proto/base/status_macros.h"

namespace bitsweep {
namespace {

absl::Status CheckStages(const Core& core,
                         const std::vector<DoneElsewhere>& stages,
                         std::unordered_set<StageKey>& graded,
                         std::unordered_set<StageKey>& known) {
  for (const DoneElsewhere& done : stages) {
    const StageDefinition& definition = done.definition;
    const bool grade = definition.kind == StageKind::kGrade;
    if (!definition.upstream.empty() || !definition.inputs.empty()) {
      return absl::InvalidArgumentError(
          Cat("stage ", definition.label, " was done elsewhere and names inputs"));
    }
    if (grade == done.verdicts.empty()) {
      return absl::InvalidArgumentError(Cat("stage ",
                                            definition.label,
                                            grade ? " has no verdict" : " has verdicts and is no "
                                                                        "grade stage"));
    }
    BITSWEEP_RETURN_IF_ERROR(CheckResult(ArtifactManifest{}, done.verdicts));
    if (const Stage* stage = core.FindStage(definition.key);
        stage != nullptr && !stage->Imported()) {
      return absl::FailedPreconditionError(
          Cat("stage ", definition.label, " is known and was not imported"));
    }
    if (!known.insert(definition.key).second) {
      return absl::InvalidArgumentError(Cat("stage ", definition.label, " comes twice"));
    }
    if (grade) {
      graded.insert(definition.key);
    }
  }
  return absl::OkStatus();
}

absl::Status CheckCells(const std::vector<CellDefinition>& cells,
                        const std::unordered_set<StageKey>& graded,
                        const std::unordered_set<StageKey>& known) {
  std::unordered_set<std::string> ids;
  for (const CellDefinition& cell : cells) {
    if (!ids.insert(cell.id).second) {
      return absl::InvalidArgumentError(Cat("cell ", cell.id, " comes twice"));
    }
    if (!cell.grade || !graded.contains(*cell.grade)) {
      return absl::InvalidArgumentError(Cat("cell ", cell.id, " has no imported grade stage"));
    }
    for (const std::optional<StageKey>& key :
         {std::optional(cell.inspect), cell.quantize, cell.finetune, cell.generate}) {
      if (key && !known.contains(*key)) {
        return absl::InvalidArgumentError(
            Cat("cell ", cell.id, ": stage ", key->value(), " is not imported with it"));
      }
    }
  }
  return absl::OkStatus();
}

void AddImportedStages(Core& core,
                       Effects& out,
                       Sweep& sweep,
                       std::vector<DoneElsewhere>& stages,
                       absl::Time now) {
  int shared = 0;
  for (DoneElsewhere& done : stages) {
    Stage* stage = core.FindStage(done.definition.key);
    shared += stage != nullptr ? 1 : 0;
    if (stage == nullptr) {
      auto artifact = std::make_shared<ArtifactManifest>();
      artifact->summary = std::move(done.summary);
      stage = &internal::AddImportedStage(
          core,
          out,
          std::make_shared<const StageDefinition>(std::move(done.definition)),
          std::move(artifact),
          now);
      if (!done.verdicts.empty()) {
        out.changes.push_back(change::VerdictsIngested{stage->key(), std::move(done.verdicts)});
      }
    }
    internal::WantStage(core, out, sweep, *stage, now);
  }
  // What came with the sweep was not there before it.
  sweep.cached = shared;
}

}  // namespace

absl::StatusOr<SubmitReceipt> OnImport(Core& core,
                                       Effects& out,
                                       const Submission& submission,
                                       const std::vector<CellDefinition>& cells,
                                       std::vector<DoneElsewhere> stages,
                                       absl::Time now) {
  const auto receipt = [](const Sweep& sweep, bool existed) {
    return SubmitReceipt{sweep.id,
                         sweep.submission.name,
                         existed,
                         static_cast<int>(sweep.cells.size()),
                         static_cast<int>(sweep.stages.size()),
                         sweep.cached};
  };
  if (const auto place = core.sweep_of_request.find(submission.request_id);
      !submission.request_id.empty() && place != core.sweep_of_request.end()) {
    return receipt(*core.sweeps.at(place->second), true);
  }
  if (cells.empty()) {
    return absl::InvalidArgumentError(Cat("sweep ", submission.name, " has no cell"));
  }
  std::unordered_set<StageKey> graded, known;
  BITSWEEP_RETURN_IF_ERROR(CheckStages(core, stages, graded, known));
  BITSWEEP_RETURN_IF_ERROR(CheckCells(cells, graded, known));

  const Counters before = core.counters;
  auto owned = std::make_unique<Sweep>();
  Sweep& sweep = *owned;
  sweep.id = SweepId(core.counters.next_sweep++);
  sweep.submission = submission;
  sweep.created = now;
  out.changes.push_back(change::SweepAdded{sweep.id, submission, now});
  sweep.cell_counts[static_cast<std::size_t>(CellState::kPending)] = static_cast<int>(cells.size());
  core.sweeps.emplace(sweep.id, std::move(owned));
  if (!submission.request_id.empty()) {
    core.sweep_of_request.emplace(submission.request_id, sweep.id);
  }
  AddImportedStages(core, out, sweep, stages, now);
  sweep.cells.reserve(cells.size());
  for (const CellDefinition& definition : cells) {
    const auto ordinal = static_cast<std::int32_t>(sweep.cells.size());
    sweep.cells.emplace_back().definition = definition;
    Stage* inspect = core.FindStage(definition.inspect);
    ModelGroup* group = nullptr;
    for (ModelGroup& candidate : sweep.models) {
      group = candidate.inspect == inspect ? &candidate : group;
    }
    if (group == nullptr) {
      sweep.models.push_back({inspect, {}, ModelGroup::Plan::kDone});
      group = &sweep.models.back();
      out.changes.push_back(
          change::ModelPlanned{sweep.id, definition.inspect, ModelGroup::Plan::kDone});
    }
    group->cells.push_back(ordinal);
    out.changes.push_back(change::CellWritten{sweep.id, ordinal, definition, ""});
    internal::AttachCell(core, sweep, ordinal);
    internal::DeriveCell(out, sweep, ordinal);
  }
  internal::DeriveSweep(core, out, sweep, now);
  out.changes.push_back(change::SweepUpdated{
      sweep.id, sweep.state, sweep.paused, sweep.cancelled, sweep.cached, sweep.ended});
  out.sweeps_changed.insert(sweep.id);
  internal::RecordCounters(core, out, before);
  return receipt(sweep, false);
}

}  // namespace bitsweep
