#include "coordinator/store/schema.h"

#include <array>
#include <string>
#include <string_view>

#include "coordinator/domain/text.h"
#include "coordinator/store/schema_views.h"

#include "proto/base/status_macros.h"

namespace bitsweep {
namespace {

// "bsw1": tells our files from other SQLite databases.
constexpr std::int64_t kApplicationId = 0x62737731;

constexpr std::string_view kTables1 = R"sql(
CREATE TABLE counter (
  name TEXT PRIMARY KEY,
  next INTEGER NOT NULL CHECK (next >= 1)
) STRICT, WITHOUT ROWID;

CREATE TABLE sweep (
  sweep_id INTEGER PRIMARY KEY,
  request_id TEXT NOT NULL,
  name TEXT NOT NULL,
  user TEXT NOT NULL,
  priority INTEGER NOT NULL,
  file_name TEXT NOT NULL,
  spec_text TEXT NOT NULL,
  device TEXT NOT NULL,
  dtype TEXT NOT NULL,
  state TEXT NOT NULL
    CHECK (state IN ('planning', 'running', 'paused', 'succeeded', 'failed', 'cancelled')),
  paused INTEGER NOT NULL CHECK (paused IN (0, 1)),
  cancelled INTEGER NOT NULL CHECK (cancelled IN (0, 1)),
  cached INTEGER NOT NULL,
  created_us INTEGER NOT NULL,
  ended_us INTEGER
) STRICT;
CREATE UNIQUE INDEX sweep_request ON sweep (request_id) WHERE request_id <> '';

CREATE TABLE sweep_setting (
  sweep_id INTEGER NOT NULL REFERENCES sweep,
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (sweep_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE sweep_file (
  sweep_id INTEGER NOT NULL REFERENCES sweep,
  path TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  PRIMARY KEY (sweep_id, path)
) STRICT, WITHOUT ROWID;

CREATE TABLE worker (
  worker_id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  version TEXT NOT NULL,
  build TEXT NOT NULL,
  stages TEXT NOT NULL,
  gpus TEXT NOT NULL,
  host_bytes INTEGER NOT NULL,
  cores INTEGER NOT NULL,
  slots INTEGER NOT NULL,
  isolation TEXT NOT NULL,
  labels TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('connected', 'disconnected', 'lost', 'gone')),
  registered_us INTEGER NOT NULL,
  last_seen_us INTEGER NOT NULL
) STRICT;

CREATE TABLE stage (
  stage_id INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE CHECK (length(key) = 64),
  kind TEXT NOT NULL CHECK (kind IN ('inspect', 'quantize', 'finetune', 'generate', 'grade')),
  label TEXT NOT NULL,
  parameters TEXT NOT NULL,
  spec TEXT NOT NULL,
  inputs TEXT NOT NULL,
  needs TEXT NOT NULL,
  cost_estimate REAL NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('waiting', 'blocked', 'ready', 'leased', 'running',
                                       'succeeded', 'failed', 'cancelled')),
  attempt INTEGER NOT NULL CHECK (attempt >= 0),
  forgiven INTEGER NOT NULL CHECK (forgiven BETWEEN 0 AND attempt),
  retry_at_us INTEGER CHECK (retry_at_us IS NULL OR state = 'failed'),
  summary TEXT,
  weights_bytes INTEGER,
  effective_bits REAL,
  model_parameters INTEGER,
  created_us INTEGER NOT NULL,
  CHECK (state NOT IN ('leased', 'running', 'succeeded', 'failed') OR attempt > 0)
) STRICT;

CREATE TABLE stage_upstream (
  stage_id INTEGER NOT NULL REFERENCES stage,
  position INTEGER NOT NULL,
  upstream_id INTEGER NOT NULL REFERENCES stage,
  PRIMARY KEY (stage_id, position),
  CHECK (upstream_id < stage_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE stage_sweep (
  sweep_id INTEGER NOT NULL REFERENCES sweep,
  stage_id INTEGER NOT NULL REFERENCES stage,
  PRIMARY KEY (sweep_id, stage_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX stage_sweep_stage ON stage_sweep (stage_id);

CREATE TABLE sweep_model (
  sweep_id INTEGER NOT NULL REFERENCES sweep,
  inspect_id INTEGER NOT NULL REFERENCES stage,
  plan TEXT NOT NULL CHECK (plan IN ('awaited', 'done', 'failed')),
  PRIMARY KEY (sweep_id, inspect_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE cell (
  sweep_id INTEGER NOT NULL REFERENCES sweep,
  ordinal INTEGER NOT NULL,
  cell_id TEXT NOT NULL,
  model TEXT NOT NULL,
  family TEXT NOT NULL,
  params TEXT NOT NULL,
  precision TEXT NOT NULL,
  calibration TEXT NOT NULL,
  finetuned TEXT NOT NULL,
  benchmark TEXT NOT NULL,
  language TEXT NOT NULL,
  seed INTEGER NOT NULL,
  problems INTEGER NOT NULL,
  samples INTEGER NOT NULL,
  inspect_id INTEGER NOT NULL REFERENCES stage,
  quantize_id INTEGER REFERENCES stage,
  finetune_id INTEGER REFERENCES stage,
  generate_id INTEGER REFERENCES stage,
  grade_id INTEGER REFERENCES stage,
  failure TEXT NOT NULL,
  PRIMARY KEY (sweep_id, ordinal),
  UNIQUE (sweep_id, cell_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE cell_question (
  sweep_id INTEGER NOT NULL,
  ordinal INTEGER NOT NULL,
  position INTEGER NOT NULL,
  question TEXT NOT NULL,
  PRIMARY KEY (sweep_id, ordinal, position),
  FOREIGN KEY (sweep_id, ordinal) REFERENCES cell
) STRICT, WITHOUT ROWID;

CREATE TABLE attempt (
  stage_id INTEGER NOT NULL REFERENCES stage,
  attempt INTEGER NOT NULL CHECK (attempt >= 1),
  lease_id INTEGER NOT NULL UNIQUE,
  worker_id INTEGER NOT NULL REFERENCES worker,
  state TEXT NOT NULL
    CHECK (state IN ('leased', 'running', 'succeeded', 'failed', 'cancelled')),
  leased_us INTEGER NOT NULL,
  started_us INTEGER,
  ended_us INTEGER,
  failure_class TEXT CHECK (failure_class IN ('worker_lost', 'preempted', 'oom_gpu', 'oom_host',
    'disk_full', 'timeout', 'hang', 'diverged', 'bad_input', 'sandbox', 'bug')),
  final INTEGER NOT NULL CHECK (final IN (0, 1)),
  message TEXT NOT NULL,
  log_tail TEXT NOT NULL,
  build TEXT NOT NULL,
  peak_host_bytes INTEGER NOT NULL,
  peak_gpu_bytes INTEGER NOT NULL,
  PRIMARY KEY (stage_id, attempt),
  CHECK ((state = 'failed') = (failure_class IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX attempt_failed ON attempt (stage_id, failure_class)
  WHERE failure_class IS NOT NULL;

CREATE TABLE artifact_file (
  stage_id INTEGER NOT NULL REFERENCES stage,
  position INTEGER NOT NULL,
  name TEXT NOT NULL,
  size INTEGER NOT NULL CHECK (size >= 0),
  sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
  PRIMARY KEY (stage_id, position),
  UNIQUE (stage_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE verdict (
  stage_id INTEGER NOT NULL REFERENCES stage,
  problem TEXT NOT NULL,
  sample INTEGER NOT NULL,
  verdict TEXT NOT NULL CHECK (verdict <> 'infrastructure'),
  passed INTEGER NOT NULL CHECK (passed IN (0, 1)),
  study_verdict TEXT NOT NULL,
  study_passed INTEGER NOT NULL CHECK (study_passed IN (0, 1)),
  cpu_seconds REAL NOT NULL,
  wall_seconds REAL NOT NULL,
  memory_bytes INTEGER NOT NULL,
  exit_code INTEGER,
  signal INTEGER,
  isolation TEXT NOT NULL,
  witness TEXT NOT NULL,
  PRIMARY KEY (stage_id, problem, sample)
) STRICT, WITHOUT ROWID;
)sql";

struct Migration {
  int version;  // What the database is afterwards.
  std::array<std::string_view, 2> scripts;
  Query verify;  // One row, one column: 1 when the migration did what it says.
};

// Never edited after a release: a change of the schema is a new one at the end.
const std::array kMigrations = {
    Migration{1, {kTables1, kViews1}, {"verify_1", R"sql(
      SELECT (SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN (
                'counter', 'sweep', 'sweep_setting', 'sweep_file', 'sweep_model', 'worker', 'stage',
                'stage_upstream', 'stage_sweep', 'cell', 'cell_question', 'attempt',
                'artifact_file', 'verdict')) = 14
         AND (SELECT count(*) FROM cell_results) = 0
         AND (SELECT count(*) FROM sample_outcomes) = 0
         AND (SELECT count(*) FROM stage_history) = 0
         AND (SELECT count(*) FROM pragma_foreign_key_check) = 0)sql"}},
};

constexpr Query kUserVersion{"user_version", "PRAGMA user_version"};
constexpr Query kApplication{"application_id", "PRAGMA application_id"};
constexpr Query kAnyTable{"any_table", "SELECT count(*) FROM sqlite_schema"};

absl::StatusOr<std::int64_t> Number(Database& database, const Query& query) {
  BITSWEEP_ASSIGN_OR_RETURN(Statement * statement, database.Prepare(query));
  BITSWEEP_ASSIGN_OR_RETURN(const bool row, statement->Step());
  const std::int64_t value = row ? statement->Integer(0) : 0;
  statement->Reset();
  return value;
}

absl::Status Apply(Database& database, const Migration& migration) {
  for (const std::string_view script : migration.scripts) {
    BITSWEEP_RETURN_IF_ERROR(database.Script(script));
  }
  BITSWEEP_RETURN_IF_ERROR(database.Script(Cat(
      "PRAGMA user_version = ", migration.version, "; PRAGMA application_id = ", kApplicationId)));
  BITSWEEP_ASSIGN_OR_RETURN(const std::int64_t proven, Number(database, migration.verify));
  if (proven != 1) {
    return absl::InternalError(
        Cat("migration ", migration.version, " ran, but its verification does not hold"));
  }
  return absl::OkStatus();
}

}  // namespace

int SchemaVersion() {
  return kMigrations.back().version;
}

absl::Status Migrate(Database& database) {
  BITSWEEP_ASSIGN_OR_RETURN(const std::int64_t version, Number(database, kUserVersion));
  BITSWEEP_ASSIGN_OR_RETURN(const std::int64_t application, Number(database, kApplication));
  BITSWEEP_ASSIGN_OR_RETURN(const std::int64_t tables, Number(database, kAnyTable));
  if (tables > 0 && application != kApplicationId) {
    return absl::FailedPreconditionError(
        "the file is an SQLite database of some other program; choose another data folder");
  }
  if (version > SchemaVersion()) {
    return absl::FailedPreconditionError(Cat("the database has schema version ",
                                             version,
                                             ", this program knows up to ",
                                             SchemaVersion(),
                                             "; use the newer program"));
  }
  for (const Migration& migration : kMigrations) {
    if (migration.version <= version) {
      continue;
    }
    BITSWEEP_RETURN_IF_ERROR(database.Begin());
    absl::Status applied = Apply(database, migration);
    if (applied.ok()) {
      applied = database.Commit();
    }
    if (!applied.ok()) {
      database.Rollback();
      return applied;
    }
  }
  return absl::OkStatus();
}

}  // namespace bitsweep
