#include "coordinator/store/store.h"

#include <filesystem>
#include <unordered_map>
#include <utility>

#include "coordinator/domain/text.h"
#include "coordinator/store/database.h"
#include "coordinator/store/folder_lock.h"
#include "coordinator/store/loader.h"
#include "coordinator/store/queries.h"
#include "coordinator/store/schema.h"
#include "coordinator/store/writer.h"

#include "proto/base/status_macros.h"

namespace bitsweep {

struct Store::Impl {
  std::unique_ptr<FolderLock> lock;  // Let go last.
  std::unique_ptr<Database> database;
};

namespace {

/// The same code with the place in front of the message.
absl::Status At(const std::string& place, const absl::Status& status) {
  return status.ok() ? status
                     : absl::Status(status.code(), Cat(place, ": ", std::string(status.message())));
}

/// Which of the changes need not be written: an update of a stage that a later one of the batch
/// replaces.
std::vector<bool> Superseded(std::span<const Change> changes) {
  std::vector<bool> superseded(changes.size(), false);
  std::unordered_map<StageKey, std::size_t> newest;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    const auto* update = std::get_if<change::StageUpdated>(&changes[i]);
    if (update == nullptr) {
      continue;
    }
    const auto [place, added] = newest.emplace(update->stage, i);
    if (!added) {
      superseded[place->second] = true;
      place->second = i;
    }
  }
  return superseded;
}

CellResult ResultOf(const Statement& row) {
  CellResult result;
  result.model = row.Text(1);
  result.family = row.Text(2);
  result.params = row.Text(3);
  result.precision = row.Text(4);
  result.calibration = row.Text(5);
  result.finetuned = row.Text(6);
  result.benchmark = row.Text(7);
  result.language = row.Text(8);
  result.seed = row.Integer(9);
  result.state = row.Text(10);
  result.problems = static_cast<int>(row.Integer(11));
  result.samples = static_cast<int>(row.Integer(12));
  if (!row.IsNull(13)) {
    result.pass_at_1 = row.Real(13);
  }
  if (!row.IsNull(14)) {
    result.size_bytes = row.Integer(14);
  }
  if (!row.IsNull(15)) {
    result.effective_bits = row.Real(15);
  }
  result.weak_witnesses = static_cast<int>(row.Integer(17));
  if (!row.IsNull(19)) {
    result.parameters = row.Integer(19);
  }
  result.stages_done = static_cast<int>(row.Integer(20));
  result.stages_total = static_cast<int>(row.Integer(21));
  if (result.state == "failed") {
    // A model that cannot be planned is the study's bad input: no attempt failed.
    result.failure_class = row.IsNull(22) ? "bad_input" : row.Text(22);
  }
  return result;
}

StoredCell CellOf(const Statement& row) {
  StoredCell cell;
  cell.id = row.Text(0);
  cell.result = ResultOf(row);
  if (!row.IsNull(16)) {
    cell.study_pass_at_1 = row.Real(16);
  }
  cell.failure = row.Text(18);
  cell.inspect = row.Text(23);
  cell.quantize = row.Text(24);
  cell.finetune = row.Text(25);
  cell.generate = row.Text(26);
  cell.grade = row.Text(27);
  return cell;
}

/// Of a row whose columns from `at` on are those of the table.
VerdictRow VerdictOf(const Statement& row, int at) {
  VerdictRow verdict;
  verdict.problem = row.Text(at);
  verdict.sample = static_cast<int>(row.Integer(at + 1));
  verdict.verdict = row.Text(at + 2);
  verdict.passed = row.Integer(at + 3) != 0;
  verdict.study_verdict = row.Text(at + 4);
  verdict.study_passed = row.Integer(at + 5) != 0;
  verdict.cpu_seconds = row.Real(at + 6);
  verdict.wall_seconds = row.Real(at + 7);
  verdict.memory_bytes = row.Integer(at + 8);
  if (!row.IsNull(at + 9)) {
    verdict.exit_code = static_cast<int>(row.Integer(at + 9));
  }
  if (!row.IsNull(at + 10)) {
    verdict.signal = static_cast<int>(row.Integer(at + 10));
  }
  verdict.isolation = row.Text(at + 11);
  verdict.witness = row.Text(at + 12);
  return verdict;
}

StageProvenance RecordOf(const Statement& row) {
  StageProvenance record;
  record.stage = StageKey(row.Text(0));
  record.kind = row.Text(1);
  record.label = row.Text(2);
  record.parameters = row.Text(3);
  record.semantics = static_cast<int>(row.Integer(4));
  record.summary = row.Text(5);
  record.attempt = static_cast<int>(row.Integer(6));
  record.worker = row.Text(7);
  record.worker_version = row.Text(8);
  record.gpus = row.Text(9);
  record.build = row.Text(10);
  record.started = row.OptionalTime(11);
  record.ended = row.OptionalTime(12);
  record.peak_host_bytes = row.Integer(13);
  record.peak_gpu_bytes = row.Integer(14);
  record.created = row.Time(15);
  return record;
}

}  // namespace

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::~Store() = default;

absl::StatusOr<std::unique_ptr<Store>> Store::Open(const std::string& path) {
  auto impl = std::make_unique<Impl>();
  const std::filesystem::path dir = std::filesystem::path(path).parent_path();
  BITSWEEP_ASSIGN_OR_RETURN(impl->lock, FolderLock::Take(dir.empty() ? "." : dir.string()));
  BITSWEEP_ASSIGN_OR_RETURN(impl->database, Database::Open(path));
  BITSWEEP_RETURN_IF_ERROR(At(path, Migrate(*impl->database)));
  // Registrations end with the process that took them: whoever is there registers again.
  BITSWEEP_ASSIGN_OR_RETURN(Statement * end, impl->database->Prepare(queries::kEndRegistrations));
  BITSWEEP_RETURN_IF_ERROR(At(path, end->Run().status()));
  return std::unique_ptr<Store>(new Store(std::move(impl)));
}

absl::Status Store::Commit(std::span<const Change> changes) {
  if (changes.empty()) {
    return absl::OkStatus();
  }
  Database& database = *impl_->database;
  BITSWEEP_RETURN_IF_ERROR(database.Begin());
  const std::vector<bool> superseded = Superseded(changes);
  absl::Status status;
  for (std::size_t i = 0; i < changes.size() && status.ok(); ++i) {
    if (!superseded[i]) {
      status = Apply(database, changes[i]);
    }
  }
  if (status.ok()) {
    status = database.Commit();
  }
  if (!status.ok()) {
    database.Rollback();
  }
  return status;
}

absl::StatusOr<Records> Store::Load() {
  // One read transaction, so that all tables are of one moment.
  Database& database = *impl_->database;
  BITSWEEP_RETURN_IF_ERROR(database.Begin());
  absl::StatusOr<Records> records = LoadRecords(database);
  database.Rollback();
  return records;
}

absl::StatusOr<std::vector<StoredCell>> Store::Cells(SweepId sweep) {
  Database& database = *impl_->database;
  BITSWEEP_ASSIGN_OR_RETURN(Statement * has, database.Prepare(queries::kHasSweep));
  BITSWEEP_ASSIGN_OR_RETURN(const bool row, has->Bind(1, sweep.value()).Step());
  const bool known = row && has->Integer(0) == 1;
  has->Reset();
  if (!known) {
    return absl::NotFoundError(Cat("no sweep ", sweep.value()));
  }
  std::vector<StoredCell> cells;
  BITSWEEP_ASSIGN_OR_RETURN(Statement * results, database.Prepare(queries::kCellResults));
  results->Bind(1, sweep.value());
  while (true) {
    BITSWEEP_ASSIGN_OR_RETURN(const bool more, results->Step());
    if (!more) {
      break;
    }
    cells.push_back(CellOf(*results));
  }
  BITSWEEP_ASSIGN_OR_RETURN(Statement * questions, database.Prepare(queries::kQuestionsOf));
  questions->Bind(1, sweep.value());
  while (true) {
    BITSWEEP_ASSIGN_OR_RETURN(const bool more, questions->Step());
    if (!more) {
      return cells;
    }
    cells.at(static_cast<std::size_t>(questions->Integer(0)))
        .questions.push_back(questions->Text(1));
  }
}

absl::StatusOr<std::vector<CellResult>> Store::CellResults(SweepId sweep) {
  BITSWEEP_ASSIGN_OR_RETURN(std::vector<StoredCell> cells, Cells(sweep));
  std::vector<CellResult> results;
  results.reserve(cells.size());
  for (StoredCell& cell : cells) {
    results.push_back(std::move(cell.result));
  }
  return results;
}

absl::StatusOr<std::vector<SampleOutcomeRow>> Store::SampleOutcomes(SweepId sweep) {
  std::vector<SampleOutcomeRow> outcomes;
  BITSWEEP_ASSIGN_OR_RETURN(Statement * rows, impl_->database->Prepare(queries::kSampleOutcomes));
  rows->Bind(1, sweep.value());
  while (true) {
    BITSWEEP_ASSIGN_OR_RETURN(const bool more, rows->Step());
    if (!more) {
      return outcomes;
    }
    outcomes.push_back({rows->Text(0), VerdictOf(*rows, 1)});
  }
}

absl::StatusOr<std::vector<VerdictRow>> Store::Verdicts(const StageKey& stage) {
  std::vector<VerdictRow> verdicts;
  BITSWEEP_ASSIGN_OR_RETURN(Statement * rows, impl_->database->Prepare(queries::kVerdicts));
  rows->Bind(1, stage.value());
  while (true) {
    BITSWEEP_ASSIGN_OR_RETURN(const bool more, rows->Step());
    if (!more) {
      return verdicts;
    }
    verdicts.push_back(VerdictOf(*rows, 0));
  }
}

absl::StatusOr<std::vector<StageProvenance>> Store::Provenance(SweepId sweep) {
  std::vector<StageProvenance> records;
  BITSWEEP_ASSIGN_OR_RETURN(Statement * rows, impl_->database->Prepare(queries::kSweepStages));
  rows->Bind(1, sweep.value());
  while (true) {
    BITSWEEP_ASSIGN_OR_RETURN(const bool more, rows->Step());
    if (!more) {
      break;
    }
    records.push_back(RecordOf(*rows));
  }
  for (StageProvenance& record : records) {
    BITSWEEP_ASSIGN_OR_RETURN(Statement * files, impl_->database->Prepare(queries::kFilesOf));
    files->Bind(1, record.stage.value());
    while (true) {
      BITSWEEP_ASSIGN_OR_RETURN(const bool more, files->Step());
      if (!more) {
        break;
      }
      record.files.push_back({files->Text(0), files->Integer(1), Digest(files->Text(2))});
    }
  }
  return records;
}

absl::StatusOr<AttemptRow> Store::Attempt(const StageKey& stage, int attempt) {
  BITSWEEP_ASSIGN_OR_RETURN(Statement * row, impl_->database->Prepare(queries::kAttempt));
  BITSWEEP_ASSIGN_OR_RETURN(const bool found, row->Bind(1, stage.value()).Bind(2, attempt).Step());
  if (!found) {
    return absl::NotFoundError(attempt == 0
                                   ? Cat("stage ", stage.value(), " has not been attempted yet")
                                   : Cat("stage ", stage.value(), " has no attempt ", attempt));
  }
  AttemptRow result;
  result.stage = stage;
  result.attempt = static_cast<int>(row->Integer(0));
  result.worker = row->Text(1);
  result.state = row->Text(2);
  result.failure_class = row->Text(3);
  result.message = row->Text(4);
  result.log_tail = row->Text(5);
  result.build = row->Text(6);
  result.leased = row->Time(7);
  result.started = row->OptionalTime(8);
  result.ended = row->OptionalTime(9);
  result.peak_host_bytes = row->Integer(10);
  result.peak_gpu_bytes = row->Integer(11);
  row->Reset();
  return result;
}

absl::StatusOr<std::vector<Digest>> Store::ReferencedBlobs() {
  std::vector<Digest> digests;
  BITSWEEP_ASSIGN_OR_RETURN(Statement * rows, impl_->database->Prepare(queries::kReferencedBlobs));
  while (true) {
    BITSWEEP_ASSIGN_OR_RETURN(const bool more, rows->Step());
    if (!more) {
      return digests;
    }
    digests.emplace_back(rows->Text(0));
  }
}

absl::Status Store::Checkpoint() {
  return impl_->database->Script("PRAGMA wal_checkpoint(TRUNCATE)");
}

}  // namespace bitsweep
