// Benchmark problems in MultiPL-E's record form, read from a JSON array or from JSON lines. One
// reader for the engine (which generates) and the grader (which judges), so that both see the same
// prompts. Thread rule: free functions without state; any thread.
#pragma once

#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace bitsweep::benchmark {

/// A benchmark file or record is wrong. The message names file:line, the record and the key.
class BenchmarkError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

enum class Language {
  kPython,
  kJava,
};

/// "python" or "java": the spelling of the stage specs.
const char* LanguageName(Language language);

/// Understands "py", "python" and "java"; nullopt for anything else.
std::optional<Language> ParseLanguage(std::string_view text);

/// One problem. A program is prompt + completion + "\n" + tests (program.h).
struct Record {
  std::string name;  // Unique in its file.
  Language language = Language::kPython;
  std::string prompt;
  std::string tests;
  std::vector<std::string>
      stop_tokens;  // May be empty (McEval's Java); never holds an empty string.
  std::optional<std::string> canonical_solution;  // Only where the file has one.
};

/// Reads every record of `path`, in file order. The form is decided by the first character: `[` is
/// a JSON array,
/// `{` is JSON lines (blank lines are skipped). Records of McEval's upstream form (`task_id`,
/// `prompt`, `canonical_solution`, `test`) are converted: name `Java-1` for `Java/1`, and the Java
/// class Solution becomes Problem. Throws BenchmarkError: unreadable or empty file, malformed JSON,
/// a missing key or one of a wrong type, an unknown language, records of two languages in one file,
/// a name that comes twice.
std::vector<Record> ReadBenchmark(const std::filesystem::path& path);

/// As ReadBenchmark, for text already in memory; `origin` stands for the file's name in messages.
std::vector<Record> ParseBenchmark(std::string_view text, const std::string& origin);

}  // namespace bitsweep::benchmark
