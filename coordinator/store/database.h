// SQLite as values and Status: a connection, prepared statements, transactions. The only file of
// the project that includes sqlite3.h. Not thread-safe: one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

struct sqlite3;
struct sqlite3_stmt;

namespace bitsweep {

/// A statement with a name for messages. Lives as long as the program (queries.h).
struct Query {
  const char* name;
  const char* sql;
};

/// A prepared statement, bound and stepped. Numbering of parameters and columns follows SQLite:
/// parameters from 1, columns from 0.
class Statement {
 public:
  Statement(sqlite3* database, sqlite3_stmt* statement, const char* name);
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  /// Forgets the bindings and the place. Every use begins with it.
  Statement& Reset();
  Statement& Bind(int parameter, std::int64_t value);
  Statement& Bind(int parameter, int value) { return Bind(parameter, std::int64_t{value}); }
  Statement& Bind(int parameter, bool value) {
    return Bind(parameter, std::int64_t{value ? 1 : 0});
  }
  Statement& Bind(int parameter, double value);
  /// Copied.
  Statement& Bind(int parameter, std::string_view value);
  Statement& Bind(int parameter, const char* value) {
    return Bind(parameter, std::string_view(value));
  }
  Statement& Bind(int parameter, absl::Time value) {
    return Bind(parameter, absl::ToUnixMicros(value));
  }
  Statement& BindNull(int parameter);
  template <typename Value>
  Statement& Bind(int parameter, const std::optional<Value>& value) {
    return value ? Bind(parameter, *value) : BindNull(parameter);
  }

  /// Runs a statement that returns no row. Errors as Database. Returns the number of rows changed.
  absl::StatusOr<int> Run();
  /// The next row: true, or false after the last.
  absl::StatusOr<bool> Step();

  bool IsNull(int column) const;
  std::int64_t Integer(int column) const;
  double Real(int column) const;
  std::string Text(int column) const;
  absl::Time Time(int column) const { return absl::FromUnixMicros(Integer(column)); }
  std::optional<absl::Time> OptionalTime(int column) const;

 private:
  sqlite3* database_;
  sqlite3_stmt* statement_;
  const char* name_;
  int bind_error_ = 0;  // The first one since Reset; Run and Step report it.
};

class Database {
 public:
  /// Opens or makes the file with foreign keys on, WAL and synchronous=FULL. Errors: every call of
  /// this class maps SQLite's codes: RESOURCE_EXHAUSTED disk full; UNAVAILABLE busy; DATA_LOSS
  /// corrupt or not a database; PERMISSION_DENIED cannot open or write; INTERNAL the rest. Messages
  /// name the file or the statement.
  static absl::StatusOr<std::unique_ptr<Database>> Open(const std::string& path);
  ~Database();

  /// The statement, prepared at its first use. The reference lives as long as the Database.
  absl::StatusOr<Statement*> Prepare(const Query& query);
  /// Runs every statement of a script, each to its end: migrations and pragmas.
  absl::Status Script(std::string_view sql);

  absl::Status Begin();
  absl::Status Commit();
  /// Never fails: SQLite may have rolled back by itself.
  void Rollback();

 private:
  Database(sqlite3* database, std::string path);

  sqlite3* database_;
  std::string path_;
  std::unordered_map<const Query*, std::unique_ptr<Statement>> statements_;
};

}  // namespace bitsweep
