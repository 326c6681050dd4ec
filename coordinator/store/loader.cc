#include "coordinator/store/loader.h"

#include <unordered_map>
#include <utility>

#include "coordinator/domain/text.h"
#include "coordinator/store/encoding.h"
#include "coordinator/store/queries.h"

#include "proto/base/status_macros.h"

namespace bitsweep {
namespace {

/// Calls `row(statement)` for every row of a query without parameters.
template <typename OnRow>
absl::Status ForEach(Database& database, const Query& query, const OnRow& row) {
  BITSWEEP_ASSIGN_OR_RETURN(Statement * statement, database.Prepare(query));
  while (true) {
    BITSWEEP_ASSIGN_OR_RETURN(const bool more, statement->Step());
    if (!more) {
      return absl::OkStatus();
    }
    absl::Status status = row(*statement);
    if (!status.ok()) {
      statement->Reset();
      return status;
    }
  }
}

template <typename Value>
absl::StatusOr<Value> Known(std::optional<Value> value, const char* what, const std::string& text) {
  if (!value) {
    return absl::DataLossError(Cat("the database has the ", what, " \"", text, "\""));
  }
  return *value;
}

std::optional<StageKey> OptionalKey(const Statement& row, int column) {
  return row.IsNull(column) ? std::nullopt : std::optional(StageKey(row.Text(column)));
}

class Loader {
 public:
  explicit Loader(Database& database) : database_(database) {}

  absl::StatusOr<Records> Load() {
    BITSWEEP_RETURN_IF_ERROR(LoadCounters());
    BITSWEEP_RETURN_IF_ERROR(LoadStages());
    BITSWEEP_RETURN_IF_ERROR(LoadSweeps());
    BITSWEEP_RETURN_IF_ERROR(LoadCells());
    BITSWEEP_RETURN_IF_ERROR(LoadFailures());
    return std::move(records_);
  }

 private:
  absl::Status LoadCounters() {
    BITSWEEP_RETURN_IF_ERROR(ForEach(database_, queries::kCounters, [&](Statement& row) {
      const std::string name = row.Text(0);
      Counters& counters = records_.counters;
      std::int64_t* place = name == "sweep"    ? &counters.next_sweep
                            : name == "worker" ? &counters.next_worker
                            : name == "lease"  ? &counters.next_lease
                            : name == "stage"  ? &counters.next_stage
                                               : nullptr;
      if (place == nullptr) {
        return absl::DataLossError(Cat("the database has the counter \"", name, "\""));
      }
      *place = row.Integer(1);
      return absl::OkStatus();
    }));
    return ForEach(database_, queries::kHistory, [&](Statement& row) -> absl::Status {
      BITSWEEP_ASSIGN_OR_RETURN(const StageKind kind,
                                Known(ParseStageKind(row.Text(0)), "stage kind", row.Text(0)));
      records_.history[kind] = {row.Integer(1), row.Real(2)};
      return absl::OkStatus();
    });
  }

  absl::Status AddStage(Statement& row) {
    auto definition = std::make_shared<StageDefinition>();
    definition->key = StageKey(row.Text(1));
    BITSWEEP_ASSIGN_OR_RETURN(definition->kind,
                              Known(ParseStageKind(row.Text(2)), "stage kind", row.Text(2)));
    definition->label = row.Text(3);
    definition->parameters = row.Text(4);
    definition->spec = row.Text(5);
    BITSWEEP_ASSIGN_OR_RETURN(definition->inputs, DecodeInputs(row.Text(6)));
    BITSWEEP_ASSIGN_OR_RETURN(definition->needs, DecodeNeeds(row.Text(7)));
    definition->cost_estimate = row.Real(8);
    Records::StageRecord& stage = records_.stages.emplace_back();
    stage.serial = row.Integer(0);
    BITSWEEP_ASSIGN_OR_RETURN(stage.state,
                              Known(ParseStageState(row.Text(9)), "stage state", row.Text(9)));
    stage.attempt = static_cast<int>(row.Integer(10));
    stage.forgiven = static_cast<int>(row.Integer(11));
    stage.retry_at = row.OptionalTime(12);
    stage.lease = LeaseId(row.Integer(14));
    stage.worker = WorkerId(row.Integer(15));
    stage.worker_name = row.Text(16);
    stage.leased_at = row.Time(17);
    stage.started = row.Time(18);
    stage.ended = row.Time(19);
    if (!row.IsNull(20)) {
      BITSWEEP_ASSIGN_OR_RETURN(
          stage.failure, Known(ParseFailureClass(row.Text(20)), "failure class", row.Text(20)));
    }
    stage.message = row.Text(21);
    if (stage.state == StageState::kSucceeded) {
      auto artifact = std::make_shared<ArtifactManifest>();
      artifact->summary = row.Text(13);
      artifacts_.emplace(stage.serial, artifact);
      stage.artifact = std::move(artifact);
    }
    definitions_.emplace(stage.serial, definition);
    place_of_.emplace(stage.serial, records_.stages.size() - 1);
    stage.definition = std::move(definition);
    return absl::OkStatus();
  }

  absl::Status LoadStages() {
    BITSWEEP_RETURN_IF_ERROR(
        ForEach(database_, queries::kStages, [&](Statement& row) { return AddStage(row); }));
    BITSWEEP_RETURN_IF_ERROR(ForEach(database_, queries::kUpstreams, [&](Statement& row) {
      definitions_.at(row.Integer(0))->upstream.emplace_back(row.Text(1));
      return absl::OkStatus();
    }));
    BITSWEEP_RETURN_IF_ERROR(ForEach(database_, queries::kArtifactFiles, [&](Statement& row) {
      if (const auto place = artifacts_.find(row.Integer(0)); place != artifacts_.end()) {
        place->second->files.push_back({row.Text(1), row.Integer(2), Digest(row.Text(3))});
      }
      return absl::OkStatus();
    }));
    return ForEach(database_, queries::kFailureCounts, [&](Statement& row) -> absl::Status {
      BITSWEEP_ASSIGN_OR_RETURN(
          const FailureClass failure,
          Known(ParseFailureClass(row.Text(1)), "failure class", row.Text(1)));
      Records::StageRecord& stage = records_.stages[place_of_.at(row.Integer(0))];
      stage.failures.at(static_cast<std::size_t>(failure)) = static_cast<int>(row.Integer(2));
      return absl::OkStatus();
    });
  }

  absl::Status AddSweep(Statement& row) {
    Records::SweepRecord& sweep = records_.sweeps.emplace_back();
    sweep.id = SweepId(row.Integer(0));
    Submission& submission = sweep.submission;
    submission.request_id = row.Text(1);
    submission.name = row.Text(2);
    submission.user = row.Text(3);
    submission.priority = static_cast<int>(row.Integer(4));
    submission.file_name = row.Text(5);
    submission.spec_text = row.Text(6);
    submission.device = row.Text(7);
    submission.dtype = row.Text(8);
    BITSWEEP_ASSIGN_OR_RETURN(sweep.state,
                              Known(ParseSweepState(row.Text(9)), "sweep state", row.Text(9)));
    sweep.paused = row.Integer(10) != 0;
    sweep.cancelled = row.Integer(11) != 0;
    sweep.cached = static_cast<int>(row.Integer(12));
    sweep.created = row.Time(13);
    sweep.ended = row.OptionalTime(14);
    sweep_place_.emplace(sweep.id.value(), records_.sweeps.size() - 1);
    return absl::OkStatus();
  }

  /// Rows of other tables refer to sweeps that are there: the foreign keys see to it.
  Records::SweepRecord& SweepOf(const Statement& row) {
    return records_.sweeps[sweep_place_.at(row.Integer(0))];
  }

  absl::Status LoadSweeps() {
    BITSWEEP_RETURN_IF_ERROR(
        ForEach(database_, queries::kSweeps, [&](Statement& row) { return AddSweep(row); }));
    BITSWEEP_RETURN_IF_ERROR(ForEach(database_, queries::kSettings, [&](Statement& row) {
      SweepOf(row).submission.settings.emplace(row.Text(1), row.Text(2));
      return absl::OkStatus();
    }));
    BITSWEEP_RETURN_IF_ERROR(ForEach(database_, queries::kFiles, [&](Statement& row) {
      SweepOf(row).submission.files.emplace(row.Text(1), Digest(row.Text(2)));
      return absl::OkStatus();
    }));
    BITSWEEP_RETURN_IF_ERROR(ForEach(database_, queries::kWants, [&](Statement& row) {
      SweepOf(row).stages.emplace_back(row.Text(1));
      return absl::OkStatus();
    }));
    return ForEach(database_, queries::kModels, [&](Statement& row) {
      const std::string plan = row.Text(2);
      Records::SweepRecord& sweep = SweepOf(row);
      sweep.models.push_back({sweep.id,
                              StageKey(row.Text(1)),
                              plan == "done"     ? ModelGroup::Plan::kDone
                              : plan == "failed" ? ModelGroup::Plan::kFailed
                                                 : ModelGroup::Plan::kAwaited});
      return absl::OkStatus();
    });
  }

  absl::Status LoadCells() {
    BITSWEEP_RETURN_IF_ERROR(ForEach(database_, queries::kCells, [&](Statement& row) {
      Records::SweepRecord& sweep = SweepOf(row);
      if (row.Integer(1) != static_cast<std::int64_t>(sweep.cells.size())) {
        return absl::DataLossError(
            Cat("sweep ", sweep.id.value(), " lacks cell ", sweep.cells.size()));
      }
      change::CellWritten& written = sweep.cells.emplace_back();
      written.sweep = sweep.id;
      written.ordinal = static_cast<std::int32_t>(row.Integer(1));
      CellDefinition& cell = written.definition;
      cell.id = row.Text(2);
      cell.model = row.Text(3);
      cell.family = row.Text(4);
      cell.params = row.Text(5);
      cell.precision = row.Text(6);
      cell.calibration = row.Text(7);
      cell.finetuned = row.Text(8);
      cell.benchmark = row.Text(9);
      cell.language = row.Text(10);
      cell.seed = row.Integer(11);
      cell.problems = static_cast<int>(row.Integer(12));
      cell.samples = static_cast<int>(row.Integer(13));
      written.failure = row.Text(14);
      cell.inspect = StageKey(row.Text(15));
      cell.quantize = OptionalKey(row, 16);
      cell.finetune = OptionalKey(row, 17);
      cell.generate = OptionalKey(row, 18);
      cell.grade = OptionalKey(row, 19);
      return absl::OkStatus();
    }));
    return ForEach(database_, queries::kQuestions, [&](Statement& row) {
      const auto ordinal = static_cast<std::size_t>(row.Integer(1));
      SweepOf(row).cells.at(ordinal).definition.questions.push_back(row.Text(2));
      return absl::OkStatus();
    });
  }

  absl::Status LoadFailures() {
    return ForEach(database_, queries::kFailures, [&](Statement& row) -> absl::Status {
      Records::SweepRecord& sweep = SweepOf(row);
      if (sweep.failures.size() >= kFailureNotesMax) {
        return absl::OkStatus();
      }
      FailureNote& note = sweep.failures.emplace_back();
      note.stage = StageKey(row.Text(1));
      BITSWEEP_ASSIGN_OR_RETURN(note.kind,
                                Known(ParseStageKind(row.Text(2)), "stage kind", row.Text(2)));
      note.label = row.Text(3);
      note.attempt = static_cast<int>(row.Integer(4));
      BITSWEEP_ASSIGN_OR_RETURN(
          note.failure, Known(ParseFailureClass(row.Text(5)), "failure class", row.Text(5)));
      note.message = row.Text(6);
      note.worker = row.Text(7);
      note.ended = row.Time(8);
      note.final = row.Integer(9) != 0;
      return absl::OkStatus();
    });
  }

  Database& database_;
  Records records_;
  std::unordered_map<std::int64_t, std::size_t> place_of_, sweep_place_;
  std::unordered_map<std::int64_t, std::shared_ptr<StageDefinition>> definitions_;
  std::unordered_map<std::int64_t, std::shared_ptr<ArtifactManifest>> artifacts_;
};

}  // namespace

absl::StatusOr<Records> LoadRecords(Database& database) {
  return Loader(database).Load();
}

}  // namespace bitsweep
