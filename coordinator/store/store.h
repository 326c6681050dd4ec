// The coordinator's database: SQLite in WAL mode with synchronous=FULL, so that a commit that
// returned survives a crash of the process or the machine. All SQL of the project is behind this
// header. Runs on: one thread at a time (the core strand).
//
// A data folder has one owner: Open takes an exclusive lock on DIR/lock, which the kernel drops
// when the process ends.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include "coordinator/domain/change.h"
#include "coordinator/domain/provenance.h"
#include "coordinator/study/tables.h"

#include "proto/base/ids.h"

namespace bitsweep {

/// A cell with its result as the view cell_results has it, and what else clients show of it.
struct StoredCell {
  std::string id;
  CellResult result;                                         // What tables are made of.
  std::vector<std::string> questions;                        // In the sweep file's order.
  std::string inspect, quantize, finetune, generate, grade;  // Stage keys; empty where it has none.
  std::optional<double> study_pass_at_1;  // By exit codes alone, as the study graded.
  std::string failure;                    // Why the cell could not be planned; empty unless so.
};

/// One sample's outcome with its cell: a row of the view sample_outcomes.
struct SampleOutcomeRow {
  std::string cell;
  VerdictRow verdict;
};

struct AttemptRow {
  StageKey stage;
  int attempt = 0;
  std::string worker;
  std::string state;  // leased, running, succeeded, failed, cancelled
  std::string failure_class, message, log_tail, build;
  absl::Time leased;
  std::optional<absl::Time> started, ended;
  std::int64_t peak_host_bytes = 0, peak_gpu_bytes = 0;
};

class Store {
 public:
  /// Opens or makes `path` (…/bitsweep.db) and brings its schema up to date, each migration
  /// verified. FAILED_PRECONDITION: another process has the folder (it names the process), or the
  /// schema is newer than this program. DATA_LOSS: not a database, or corrupt. PERMISSION_DENIED,
  /// RESOURCE_EXHAUSTED (disk full), INTERNAL: as SQLite reports.
  static absl::StatusOr<std::unique_ptr<Store>> Open(const std::string& path);
  ~Store();

  /// Applies all of them, in order, in one transaction, durable on return; or none of them.
  /// RESOURCE_EXHAUSTED: the disk is full. UNAVAILABLE: another connection holds the write lock
  /// longer than the busy limit. DATA_LOSS: corrupt. INTERNAL: a change contradicts the schema (a
  /// programmer's error), named.
  absl::Status Commit(std::span<const Change> changes);

  absl::StatusOr<Records> Load();

  /// In the sweep file's order. NOT_FOUND: no such sweep.
  absl::StatusOr<std::vector<StoredCell>> Cells(SweepId sweep);
  /// Their results alone: what BuildTable wants.
  absl::StatusOr<std::vector<CellResult>> CellResults(SweepId sweep);
  /// Ordered by cell, problem, sample.
  absl::StatusOr<std::vector<SampleOutcomeRow>> SampleOutcomes(SweepId sweep);
  /// Of one grade stage, ordered by problem and sample; empty where it has none.
  absl::StatusOr<std::vector<VerdictRow>> Verdicts(const StageKey& stage);
  /// The sweep's succeeded stages, upstream before downstream.
  absl::StatusOr<std::vector<StageProvenance>> Provenance(SweepId sweep);
  /// `attempt` 0: the newest. NOT_FOUND.
  absl::StatusOr<AttemptRow> Attempt(const StageKey& stage, int attempt);
  /// Every blob that an artifact or a sweep's file refers to: what may not be deleted.
  absl::StatusOr<std::vector<Digest>> ReferencedBlobs();

  /// Moves the write-ahead log into the database file. The app calls it when idle and before it
  /// ends.
  absl::Status Checkpoint();

 private:
  struct Impl;
  explicit Store(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bitsweep
