#include "coordinator/store/database.h"

#include <cerrno>
#include <utility>

#include <sqlite3.h>

#include "coordinator/domain/text.h"

#include "proto/base/status_macros.h"

namespace bitsweep {
namespace {

// How long a commit waits for somebody else's write lock (a person with sqlite3 on the file) before
// it says UNAVAILABLE.
constexpr int kBusyMilliseconds = 10'000;

constexpr Query kBegin{"begin", "BEGIN IMMEDIATE"};
constexpr Query kCommit{"commit", "COMMIT"};

absl::Status ErrorOf(sqlite3* database, int code, std::string_view what) {
  const std::string message = Cat(
      what, ": ", sqlite3_errmsg(database), " (SQLite ", sqlite3_extended_errcode(database), ")");
  switch (code & 0xff) {
    case SQLITE_FULL:
      return absl::ResourceExhaustedError(Cat(message, ": the disk is full"));
    case SQLITE_IOERR:
      if (sqlite3_system_errno(database) == ENOSPC || sqlite3_system_errno(database) == EDQUOT) {
        return absl::ResourceExhaustedError(Cat(message, ": the disk is full"));
      }
      return absl::InternalError(message);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::UnavailableError(message);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::DataLossError(message);
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_AUTH:
      return absl::PermissionDeniedError(message);
    default:
      return absl::InternalError(message);
  }
}

}  // namespace

Statement::Statement(sqlite3* database, sqlite3_stmt* statement, const char* name)
    : database_(database), statement_(statement), name_(name) {}

Statement::~Statement() {
  sqlite3_finalize(statement_);
}

Statement& Statement::Reset() {
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
  bind_error_ = SQLITE_OK;
  return *this;
}

Statement& Statement::Bind(int parameter, std::int64_t value) {
  const int code = sqlite3_bind_int64(statement_, parameter, value);
  bind_error_ = bind_error_ != SQLITE_OK ? bind_error_ : code;
  return *this;
}

Statement& Statement::Bind(int parameter, double value) {
  const int code = sqlite3_bind_double(statement_, parameter, value);
  bind_error_ = bind_error_ != SQLITE_OK ? bind_error_ : code;
  return *this;
}

Statement& Statement::Bind(int parameter, std::string_view value) {
  // An empty view may have no address, which SQLite would take for NULL.
  const char* text = value.data() != nullptr ? value.data() : "";
  const int code =
      sqlite3_bind_text64(statement_, parameter, text, value.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  bind_error_ = bind_error_ != SQLITE_OK ? bind_error_ : code;
  return *this;
}

Statement& Statement::BindNull(int parameter) {
  const int code = sqlite3_bind_null(statement_, parameter);
  bind_error_ = bind_error_ != SQLITE_OK ? bind_error_ : code;
  return *this;
}

absl::StatusOr<bool> Statement::Step() {
  if (bind_error_ != SQLITE_OK) {
    return absl::InternalError(
        Cat(name_, ": a parameter cannot be bound (SQLite ", bind_error_, ")"));
  }
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) {
    return true;
  }
  if (code == SQLITE_DONE) {
    sqlite3_reset(statement_);
    return false;
  }
  absl::Status status = ErrorOf(database_, code, name_);
  sqlite3_reset(statement_);
  return status;
}

absl::StatusOr<int> Statement::Run() {
  BITSWEEP_ASSIGN_OR_RETURN(const bool row, Step());
  BITSWEEP_CHECK(!row) << name_ << " returned a row";
  return sqlite3_changes(database_);
}

bool Statement::IsNull(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

std::int64_t Statement::Integer(int column) const {
  return sqlite3_column_int64(statement_, column);
}

double Statement::Real(int column) const {
  return sqlite3_column_double(statement_, column);
}

std::string Statement::Text(int column) const {
  const unsigned char* text = sqlite3_column_text(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  return text == nullptr
             ? std::string()
             : std::string(reinterpret_cast<const char*>(text), static_cast<std::size_t>(size));
}

std::optional<absl::Time> Statement::OptionalTime(int column) const {
  return IsNull(column) ? std::nullopt : std::optional(Time(column));
}

Database::Database(sqlite3* database, std::string path)
    : database_(database), path_(std::move(path)) {}

Database::~Database() {
  statements_.clear();
  sqlite3_close(database_);
}

absl::StatusOr<std::unique_ptr<Database>> Database::Open(const std::string& path) {
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(path.c_str(),
                                   &handle,
                                   SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                                   nullptr);
  auto database = std::unique_ptr<Database>(new Database(handle, path));
  if (code != SQLITE_OK) {
    return ErrorOf(handle, code, path);
  }
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, kBusyMilliseconds);
  BITSWEEP_RETURN_IF_ERROR(database->Script(R"sql(
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = ON;
    PRAGMA trusted_schema = OFF;
  )sql"));
  return database;
}

absl::StatusOr<Statement*> Database::Prepare(const Query& query) {
  std::unique_ptr<Statement>& place = statements_[&query];
  if (place == nullptr) {
    sqlite3_stmt* statement = nullptr;
    const int code = sqlite3_prepare_v3(
        database_, query.sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    if (code != SQLITE_OK) {
      return ErrorOf(database_, code, Cat(path_, ": ", query.name));
    }
    place = std::make_unique<Statement>(database_, statement, query.name);
  }
  place->Reset();
  return place.get();
}

absl::Status Database::Script(std::string_view sql) {
  const char* place = sql.data();
  const char* const end = sql.data() + sql.size();
  while (place < end) {
    sqlite3_stmt* raw = nullptr;
    const int code =
        sqlite3_prepare_v2(database_, place, static_cast<int>(end - place), &raw, &place);
    if (code != SQLITE_OK) {
      return ErrorOf(database_, code, path_);
    }
    if (raw == nullptr) {
      continue;  // White space or a comment.
    }
    Statement statement(database_, raw, path_.c_str());
    absl::StatusOr<bool> row = true;
    while (row.ok() && *row) {
      row = statement.Step();
    }
    BITSWEEP_RETURN_IF_ERROR(row.status());
  }
  return absl::OkStatus();
}

absl::Status Database::Begin() {
  BITSWEEP_ASSIGN_OR_RETURN(Statement * begin, Prepare(kBegin));
  return begin->Run().status();
}

absl::Status Database::Commit() {
  BITSWEEP_ASSIGN_OR_RETURN(Statement * commit, Prepare(kCommit));
  return commit->Run().status();
}

void Database::Rollback() {
  if (sqlite3_get_autocommit(database_) == 0) {
    const absl::Status ignored = Script("ROLLBACK");
    static_cast<void>(ignored);
  }
}

}  // namespace bitsweep
