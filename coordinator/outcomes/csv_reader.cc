#include "coordinator/outcomes/csv_reader.h"

#include <utility>

#include <absl/strings/str_cat.h>

#include "proto/base/status_macros.h"

namespace bitsweep {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

}  // namespace

CsvReader::CsvReader(std::string_view text, std::string origin)
    : rest_(text), origin_(std::move(origin)) {
  if (rest_.starts_with(kByteOrderMark)) {
    rest_.remove_prefix(kByteOrderMark.size());
  }
}

absl::Status CsvReader::Error(int line, std::string_view message) const {
  return absl::InvalidArgumentError(absl::StrCat(origin_, ":", line, ": ", std::string(message)));
}

bool CsvReader::TakeLineEnd() {
  const std::size_t length = rest_.starts_with("\r\n") ? 2 : rest_.starts_with("\n") ? 1 : 0;
  rest_.remove_prefix(length);
  next_line_ += length > 0 ? 1 : 0;
  return length > 0;
}

absl::Status CsvReader::ReadQuoted(std::string& field) {
  const int began = next_line_;
  rest_.remove_prefix(1);
  while (true) {
    const std::size_t quote = rest_.find('"');
    if (quote == std::string_view::npos) {
      return Error(began, "a quoted field begins here and its closing '\"' never comes");
    }
    for (const char c : rest_.substr(0, quote)) {
      next_line_ += c == '\n' ? 1 : 0;
    }
    field.append(rest_.substr(0, quote));
    rest_.remove_prefix(quote + 1);
    if (!rest_.starts_with('"')) {
      break;
    }
    field += '"';
    rest_.remove_prefix(1);
  }
  const bool ends = rest_.empty() || rest_.starts_with(',') || rest_.starts_with('\n') ||
                    rest_.starts_with("\r\n");
  return ends ? absl::OkStatus()
              : Error(next_line_, "text after the closing '\"' of a field; write \"\" for a quote");
}

absl::Status CsvReader::ReadPlain(std::string& field) {
  std::size_t end = rest_.find_first_of(",\n");
  std::string_view text = rest_.substr(0, end);
  rest_.remove_prefix(text.size());
  if (text.ends_with('\r')) {
    text.remove_suffix(1);
    // A carriage return belongs to the line end; before a comma it would be part of the field.
    if (rest_.starts_with(',')) {
      return Error(next_line_, "a carriage return within a field");
    }
  }
  if (text.find('"') != std::string_view::npos) {
    return Error(next_line_,
                 "a '\"' within a field that does not begin with one; quote the whole field");
  }
  field.append(text);
  return absl::OkStatus();
}

absl::StatusOr<bool> CsvReader::Next(std::vector<std::string>& fields) {
  fields.clear();
  while (TakeLineEnd()) {
  }
  if (rest_.empty() || rest_ == "\r") {
    rest_ = {};
    return false;
  }
  line_ = next_line_;
  while (true) {
    std::string& field = fields.emplace_back();
    BITSWEEP_RETURN_IF_ERROR(rest_.starts_with('"') ? ReadQuoted(field) : ReadPlain(field));
    if (field.find('\0') != std::string::npos) {
      return Error(line_, "a NUL byte: this is no text");
    }
    if (rest_.empty() || TakeLineEnd()) {
      return true;
    }
    rest_.remove_prefix(1);  // The comma.
  }
}

std::string CsvField(std::string_view field) {
  if (field.find_first_of(",\"\r\n") == std::string_view::npos) {
    return std::string(field);
  }
  std::string quoted = "\"";
  for (const char c : field) {
    quoted += c;
    if (c == '"') {
      quoted += c;
    }
  }
  return quoted + '"';
}

}  // namespace bitsweep
