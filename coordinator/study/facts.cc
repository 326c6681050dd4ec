#include "coordinator/study/facts.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <vector>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include "coordinator/study/nearest.h"

#include "proto/base/digest.h"
#include "proto/base/status_macros.h"
#include "proto/contract/limits.h"

namespace bitsweep {
namespace {

using nlohmann::json;

// A few mistakes per file are enough to act on; a broken export has thousands.
constexpr int kFileErrorsMax = 5;

std::string LanguageOf(const std::string& text) {
  return text == "py" ? "python" : text;
}

/// Collects the first mistakes of one file.
class FileErrors {
 public:
  void Add(std::string text) {
    if (static_cast<int>(lines_.size()) < kFileErrorsMax) {
      lines_.push_back(std::move(text));
    }
  }
  bool full() const { return static_cast<int>(lines_.size()) >= kFileErrorsMax; }
  absl::Status ToStatus() const {
    return lines_.empty() ? absl::OkStatus()
                          : absl::InvalidArgumentError(absl::StrJoin(lines_, "\n"));
  }

 private:
  std::vector<std::string> lines_;
};

/// Checks records one by one. `place` is "origin:line" or "origin: record 3".
class RecordChecker {
 public:
  RecordChecker(std::string language, FileErrors& errors)
      : language_(std::move(language)), errors_(errors) {}

  void Check(const json& record, const std::string& place) {
    ++count_;
    if (!record.is_object()) {
      errors_.Add(
          absl::StrCat(place, ": found ", record.type_name(), "; a record is a JSON object"));
      return;
    }
    // McEval's own form has other keys; the engine and the grader convert it.
    const bool upstream = record.contains("task_id") && !record.contains("name");
    const std::string name_key = upstream ? "task_id" : "name";
    const std::string name = Text(record, name_key, place, "");
    const std::string who = name.empty() ? "" : absl::StrCat(" record '", name, "':");
    if (!name.empty() && !names_.insert(name).second) {
      errors_.Add(absl::StrCat(place, ":", " the name '", name, "' comes twice"));
    }
    Text(record, "prompt", place, who);
    Text(record, upstream ? "test" : "tests", place, who);
    if (upstream) {
      return;
    }
    if (const std::string language = Text(record, "language", place, who);
        !language.empty() && LanguageOf(language) != language_) {
      errors_.Add(absl::StrCat(
          place, ":", who, " language: found '", language, "'; this file is for ", language_));
    }
    const auto stops = record.find("stop_tokens");
    if (stops == record.end()) {
      errors_.Add(absl::StrCat(
          place, ":", who, " key 'stop_tokens' is missing", Near(record, "stop_tokens")));
    } else if (!stops->is_array() ||
               !std::all_of(stops->begin(), stops->end(), [](const json& stop) {
                 return stop.is_string() && !stop.get_ref<const std::string&>().empty();
               })) {
      errors_.Add(absl::StrCat(
          place, ":", who, " stop_tokens: a list of texts that are not empty is needed"));
    }
  }
  int count() const { return count_; }

 private:
  /// The text of `key`, or "" after reporting it.
  std::string Text(const json& record,
                   const std::string& key,
                   const std::string& place,
                   const std::string& who) {
    const auto value = record.find(key);
    if (value == record.end()) {
      errors_.Add(absl::StrCat(place, ":", who, " key '", key, "' is missing", Near(record, key)));
      return "";
    }
    if (!value->is_string() || value->get_ref<const std::string&>().empty()) {
      errors_.Add(absl::StrCat(place,
                               ":",
                               who,
                               " ",
                               key,
                               ": found ",
                               value->is_string() ? "an empty text" : value->type_name(),
                               "; a text is needed"));
      return "";
    }
    return value->get<std::string>();
  }
  static std::string Near(const json& record, const std::string& key) {
    std::vector<std::string> keys;
    for (const auto& [name, value] : record.items()) {
      keys.push_back(name);
    }
    const std::string nearest = Nearest(key, keys);
    return nearest.empty() ? "" : absl::StrCat("; there is '", nearest, "'");
  }

  std::string language_;
  FileErrors& errors_;
  std::set<std::string> names_;
  int count_ = 0;
};

/// Calls `each(line text, line number)` for every line that is not blank, until `errors` is full.
template <typename Each>
void ForEachLine(std::istream& input, const FileErrors& errors, Each each) {
  std::string line;
  for (int number = 1; !errors.full() && std::getline(input, line); ++number) {
    if (line.find_first_not_of(" \t\r") != std::string::npos) {
      each(line, number);
    }
  }
}

/// The place of a parse error inside `text`, in words short enough for a line.
std::string ParseMessage(const json::parse_error& error) {
  const std::string what = error.what();
  const std::size_t at = what.find("parse error");
  return at == std::string::npos ? what : what.substr(at);
}

absl::StatusOr<std::ifstream> Open(const std::string& local_path, const std::string& origin) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(local_path, error)) {
    return absl::NotFoundError(absl::StrCat(
        origin, ": no such file", local_path == origin ? "" : absl::StrCat(" (", local_path, ")")));
  }
  std::ifstream input(local_path, std::ios::binary);
  if (!input) {
    return absl::NotFoundError(absl::StrCat(origin, ": cannot be opened for reading"));
  }
  return input;
}

/// The sweep file's words for one reference: "calibration 'code': data/code.jsonl".
std::string Who(const ReferencedFile& reference) {
  return reference.role == ReferencedFile::Role::kBenchmark
             ? absl::StrCat("benchmark '", reference.owner, "' (", reference.language, ")")
             : absl::StrCat("calibration '", reference.owner, "'");
}

/// Checks one reference in its role; fills `problems` of a benchmark.
absl::Status CheckRole(const SweepSpec& spec,
                       const ReferencedFile& reference,
                       const std::string& local_path,
                       FileFacts& facts) {
  if (reference.role == ReferencedFile::Role::kBenchmark) {
    std::optional<int> declared;
    for (const BenchmarkFileSpec& file : spec.FindBenchmark(reference.owner)->files) {
      if (file.language == reference.language) {
        declared = file.problems;
      }
    }
    BITSWEEP_ASSIGN_OR_RETURN(
        facts.problems,
        CheckBenchmarkFile(local_path, reference.path, reference.language, declared));
    return absl::OkStatus();
  }
  const CalibrationSpec* calibration = spec.FindCalibration(reference.owner);
  for (const CalibrationPart& part : calibration->parts) {
    if (part.path == reference.path) {
      BITSWEEP_RETURN_IF_ERROR(
          CheckCalibrationFile(local_path, reference.path, part, calibration->sequence_length));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckSize(const std::string& local_path,
                       const ReferencedFile& reference,
                       FileFacts& facts) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(local_path, error)) {
    const bool exists = std::filesystem::exists(local_path, error);
    return absl::InvalidArgumentError(absl::StrCat(
        reference.path,
        exists ? ": is no regular file" : ": no such file",
        local_path == reference.path ? "" : absl::StrCat(" (looked for ", local_path, ")")));
  }
  facts.size = static_cast<std::int64_t>(std::filesystem::file_size(local_path, error));
  if (error || facts.size > kUploadBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat(reference.path,
                                                   ": ",
                                                   facts.size,
                                                   " bytes; at most ",
                                                   kUploadBytesMax,
                                                   " (1 GiB) can be uploaded"));
  }
  BITSWEEP_ASSIGN_OR_RETURN(facts.digest, Sha256HexOfFile(local_path));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<int> CheckBenchmarkFile(const std::string& local_path,
                                       const std::string& origin,
                                       const std::string& language,
                                       std::optional<int> declared) {
  BITSWEEP_ASSIGN_OR_RETURN(std::ifstream input, Open(local_path, origin));
  FileErrors errors;
  RecordChecker checker(language, errors);
  if ((input >> std::ws).peek() == '[') {
    try {
      const json array = json::parse(input);
      for (std::size_t i = 0; i < array.size() && !errors.full(); ++i) {
        checker.Check(array[i], absl::StrCat(origin, ": record ", i + 1));
      }
    } catch (const json::parse_error& error) {
      errors.Add(absl::StrCat(origin, ": ", ParseMessage(error)));
    }
  } else {
    input.clear();
    input.seekg(0);
    ForEachLine(input, errors, [&](const std::string& line, int number) {
      const std::string place = absl::StrCat(origin, ":", number);
      try {
        checker.Check(json::parse(line), place);
      } catch (const json::parse_error& error) {
        errors.Add(absl::StrCat(place, ": not JSON: ", ParseMessage(error)));
      }
    });
  }
  BITSWEEP_RETURN_IF_ERROR(errors.ToStatus());
  if (checker.count() == 0) {
    return absl::InvalidArgumentError(absl::StrCat(origin, ": holds no record"));
  }
  if (declared && *declared != checker.count()) {
    return absl::InvalidArgumentError(absl::StrCat(origin,
                                                   ": holds ",
                                                   checker.count(),
                                                   " problems, but the sweep file's ",
                                                   "`problems` says ",
                                                   *declared));
  }
  return checker.count();
}

absl::Status CheckCalibrationFile(const std::string& local_path,
                                  const std::string& origin,
                                  const CalibrationPart& part,
                                  std::int64_t sequence_length) {
  BITSWEEP_ASSIGN_OR_RETURN(std::ifstream input, Open(local_path, origin));
  FileErrors errors;
  const std::int64_t document_tokens = std::max(sequence_length, part.min_tokens);
  std::int64_t documents = 0, bytes = 0, long_documents = 0;
  ForEachLine(input, errors, [&](const std::string& line, int number) {
    const std::string place = absl::StrCat(origin, ":", number);
    const json record = json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (record.is_discarded()) {
      errors.Add(absl::StrCat(place, ": not JSON; a line is an object {\"text\": ...}"));
    } else if (!record.is_object() || !record.contains("text") || !record["text"].is_string()) {
      errors.Add(absl::StrCat(
          place, ": key 'text' (a text) is missing; a line is an object {\"text\": ...}"));
    } else {
      ++documents;
      const auto size =
          static_cast<std::int64_t>(record["text"].get_ref<const std::string&>().size());
      bytes += size;
      // A token stands for at least one byte; a beginning and an end of text come to each document.
      long_documents += size + 2 >= document_tokens ? 1 : 0;
    }
  });
  BITSWEEP_RETURN_IF_ERROR(errors.ToStatus());
  if (documents == 0) {
    return absl::InvalidArgumentError(absl::StrCat(origin, ": holds no document"));
  }
  if (part.window == "pack" && bytes + 2 * documents < part.sequences * sequence_length) {
    return absl::InvalidArgumentError(absl::StrCat(origin,
                                                   ": too short: ",
                                                   bytes,
                                                   " bytes of text in ",
                                                   documents,
                                                   " documents cannot give ",
                                                   part.sequences,
                                                   " x ",
                                                   sequence_length,
                                                   " tokens (window: pack)"));
  }
  // `first` takes one window of each long document; `random` may take many of one.
  const std::int64_t needed = part.window == "first"    ? part.sequences
                              : part.window == "random" ? 1
                                                        : 0;
  if (long_documents < needed) {
    return absl::InvalidArgumentError(absl::StrCat(origin,
                                                   ": too short: ",
                                                   long_documents,
                                                   " of ",
                                                   documents,
                                                   " documents can have ",
                                                   document_tokens,
                                                   " tokens; needed: at least ",
                                                   needed,
                                                   " (window: ",
                                                   part.window,
                                                   ")"));
  }
  return absl::OkStatus();
}

absl::StatusOr<FileFactsByPath> CheckFiles(const SweepSpec& spec, const FileResolver& resolve) {
  FileFactsByPath files;
  std::set<std::string> missing;
  std::vector<std::string> errors;
  for (const ReferencedFile& reference : ReferencedFiles(spec)) {
    if (missing.contains(reference.path)) {
      continue;
    }
    const std::string local_path = resolve(reference.path);
    const auto [entry, fresh] = files.try_emplace(reference.path);
    absl::Status status =
        fresh ? CheckSize(local_path, reference, entry->second) : absl::OkStatus();
    if (!status.ok()) {
      missing.insert(reference.path);
    } else {
      status = CheckRole(spec, reference, local_path, entry->second);
    }
    if (!status.ok()) {
      errors.push_back(absl::StrCat(reference.place, ": ", Who(reference), ": ", status.message()));
    }
  }
  if (!errors.empty()) {
    return absl::InvalidArgumentError(absl::StrJoin(errors, "\n"));
  }
  return files;
}

}  // namespace bitsweep
