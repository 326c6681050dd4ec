// What planning must know of the files that a sweep names, and the checks that find a bad file
// before anything is submitted. The client runs them on its files; the coordinator runs them again
// on the blobs that it was sent. Plain values and free functions: any thread. Files are read in
// pieces; memory is one record.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "coordinator/study/sweep_spec.h"

namespace bitsweep {

/// Content-derived and small. For one path, whatever its roles.
struct FileFacts {
  std::string digest;           // SHA-256 of the bytes, 64 lower-case hexadecimal digits.
  std::int64_t size = 0;        // Bytes.
  std::optional<int> problems;  // Records, when it is a benchmark file.
};

/// Path as written in the sweep file -> facts.
using FileFactsByPath = std::map<std::string, FileFacts>;

/// Where the bytes of a path lie on this machine: the client joins the sweep file's folder, the
/// coordinator names a blob.
using FileResolver = std::function<std::string(const std::string& path_as_written)>;

/// Checks every file that the sweep names and gathers its facts. All mistakes are reported, one a
/// line, each with the line of the sweep file that names the file and, where it lies in the file,
/// `path:line`. INVALID_ARGUMENT: a missing file, one over kUploadBytesMax, one that a check below
/// refuses.
absl::StatusOr<FileFactsByPath> CheckFiles(const SweepSpec& spec, const FileResolver& resolve);

/// A benchmark file: a JSON array or JSON lines of records with string members `name`, `language`,
/// `prompt`, `tests` and the list `stop_tokens` (or McEval's own form: `task_id`, `prompt`,
/// `canonical_solution`, `test`); names are unique, the language is `language`, and the count is
/// `declared` where that is given. Returns the number of records. INVALID_ARGUMENT: `origin:line:
/// record, key: what was found`. NOT_FOUND: no such file.
absl::StatusOr<int> CheckBenchmarkFile(const std::string& local_path,
                                       const std::string& origin,
                                       const std::string& language,
                                       std::optional<int> declared);

/// A calibration file: JSON lines with a string `text`. A token of the tokenizers in use is at most
/// a few bytes, so a file with fewer bytes of text than the tokens it must give is refused here;
/// the exact count is the engine's. INVALID_ARGUMENT: `origin:line: what was found`. NOT_FOUND: no
/// such file.
absl::Status CheckCalibrationFile(const std::string& local_path,
                                  const std::string& origin,
                                  const CalibrationPart& part,
                                  std::int64_t sequence_length);

}  // namespace bitsweep
