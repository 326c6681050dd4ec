// Comma-separated values as RFC 4180 has them, record by record, with the line that each began on:
// quoted fields may hold commas, doubled quotes and line feeds; lines end in LF or CRLF; a UTF-8
// byte order mark at the beginning is passed over. What is not well-formed is an error with its
// place rather than a guess. Runs on: one thread at a time; the text must outlive the reader.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

namespace bitsweep {

class CsvReader {
 public:
  /// `origin` is used in messages only.
  CsvReader(std::string_view text, std::string origin);

  /// Reads the next record into `fields`; false at the end. Empty lines are passed over.
  /// INVALID_ARGUMENT `origin:line: ...`: a quote that is never closed (its own line), text after a
  /// closing quote, a quote within a field that does not begin with one, a NUL byte.
  absl::StatusOr<bool> Next(std::vector<std::string>& fields);

  /// Of the first character of the last record, from 1.
  int line() const { return line_; }
  const std::string& origin() const { return origin_; }

 private:
  absl::Status Error(int line, std::string_view message) const;
  absl::Status ReadQuoted(std::string& field);
  absl::Status ReadPlain(std::string& field);
  /// Whether a line end stands here; consumes it.
  bool TakeLineEnd();

  std::string_view rest_;
  const std::string origin_;
  int line_ = 0;
  int next_line_ = 1;
};

/// `field` as one field of a record: in quotes where it has to be.
std::string CsvField(std::string_view field);

}  // namespace bitsweep
