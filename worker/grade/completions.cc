#include "worker/grade/completions.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>
#include <sstream>
#include <utility>

#include "worker/grade/limits.h"
#include "worker/grade/text.h"

#include "proto/base/status_macros.h"

namespace bitsweep::grade {
namespace {

using benchmark::Record;
using nlohmann::json;

/// Levenshtein distance; names are short.
std::size_t Distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t change = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({change, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

const std::string& Nearest(std::string_view name, const std::vector<Record>& records) {
  return std::min_element(records.begin(),
                          records.end(),
                          [&](const Record& a, const Record& b) {
                            return Distance(name, a.name) < Distance(name, b.name);
                          })
      ->name;
}

/// Reads one line; the error's message is without the place.
absl::StatusOr<Completion> ParseLine(std::string_view line,
                                     const std::map<std::string_view, std::size_t>& indices,
                                     const std::vector<Record>& records) {
  const json value = json::parse(line, nullptr, false);
  if (value.is_discarded() || !value.is_object()) {
    return absl::InvalidArgumentError("not a JSON object");
  }
  for (const char* key : {"name", "sample", "completion"}) {
    if (!value.contains(key)) {
      return absl::InvalidArgumentError(Cat("required key `", key, "` is missing"));
    }
  }
  if (!value["name"].is_string() || !value["completion"].is_string()) {
    return absl::InvalidArgumentError("keys `name` and `completion` must be strings");
  }
  if (!value["sample"].is_number_unsigned()) {
    return absl::InvalidArgumentError("key `sample` must be an integer from 0");
  }
  const std::string& name = value["name"].get_ref<const std::string&>();
  const auto at = indices.find(name);
  if (at == indices.end()) {
    return absl::InvalidArgumentError(Cat("problem \"",
                                          name,
                                          "\" is not in the benchmark; the nearest name is \"",
                                          Nearest(name, records),
                                          "\""));
  }
  Completion completion;
  completion.record = at->second;
  completion.sample = value["sample"].get<std::int64_t>();
  completion.text = value["completion"].get<std::string>();
  if (static_cast<std::int64_t>(completion.text.size()) > kCompletionBytesMax) {
    return absl::InvalidArgumentError(Cat("the completion has ",
                                          completion.text.size(),
                                          " bytes, allowed are ",
                                          kCompletionBytesMax));
  }
  return completion;
}

}  // namespace

absl::StatusOr<std::vector<Completion>> ParseCompletions(std::string_view text,
                                                         const std::string& origin,
                                                         const std::vector<Record>& records) {
  std::map<std::string_view, std::size_t> indices;
  for (std::size_t i = 0; i < records.size(); ++i) {
    indices.emplace(records[i].name, i);
  }
  std::vector<Completion> completions;
  std::set<std::pair<std::size_t, std::int64_t>> seen;
  std::size_t number = 0;
  for (const std::string_view line : Split(text, '\n')) {
    ++number;
    if (Trim(line).empty()) {
      continue;
    }
    absl::StatusOr<Completion> completion = ParseLine(line, indices, records);
    if (!completion.ok()) {
      return absl::InvalidArgumentError(
          Cat(origin, ":", number, ": ", std::string(completion.status().message())));
    }
    if (!seen.emplace(completion->record, completion->sample).second) {
      return absl::InvalidArgumentError(Cat(origin,
                                            ":",
                                            number,
                                            ": sample ",
                                            completion->sample,
                                            " of \"",
                                            records[completion->record].name,
                                            "\" comes twice"));
    }
    completions.push_back(*std::move(completion));
  }
  if (completions.empty()) {
    return absl::InvalidArgumentError(Cat(origin, ": holds no completion"));
  }
  return completions;
}

absl::StatusOr<std::vector<Completion>> ReadCompletions(const std::filesystem::path& path,
                                                        const std::vector<Record>& records) {
  std::ifstream file(path, std::ios::binary);
  std::error_code ignored;
  if (!file || std::filesystem::is_directory(path, ignored)) {
    return absl::NotFoundError(Cat(path.string(), ": the completions file cannot be opened"));
  }
  std::ostringstream text;
  text << file.rdbuf();
  return ParseCompletions(text.str(), path.string(), records);
}

absl::StatusOr<std::vector<Completion>> CanonicalCompletions(const std::vector<Record>& records) {
  std::vector<Completion> completions;
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (!records[i].canonical_solution) {
      return absl::InvalidArgumentError(
          Cat("record \"", records[i].name, "\" has no `canonical_solution`"));
    }
    completions.push_back({.record = i, .sample = 0, .text = *records[i].canonical_solution});
  }
  return completions;
}

}  // namespace bitsweep::grade
