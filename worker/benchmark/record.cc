#include "worker/benchmark/record.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

namespace bitsweep::benchmark {
namespace {

using nlohmann::json;

/// One record's text and where it begins, for messages.
struct Slice {
  std::string_view text;
  std::size_t line = 1;
};

[[noreturn]] void Fail(const std::string& origin, std::size_t line, const std::string& what) {
  throw BenchmarkError(origin + ":" + std::to_string(line) + ": " + what);
}

std::size_t CountLines(std::string_view text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

bool IsBlank(std::string_view text) {
  return std::all_of(
      text.begin(), text.end(), [](unsigned char c) { return std::isspace(c) != 0; });
}

std::vector<Slice> SplitLines(std::string_view text) {
  std::vector<Slice> slices;
  std::size_t line = 1;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (!IsBlank(text.substr(0, end))) {
      slices.push_back({text.substr(0, end), line});
    }
    text.remove_prefix(std::min(end + 1, text.size()));
    ++line;
  }
  return slices;
}

/// The elements of a top-level array. Each is parsed on its own, so that its line is known; here
/// only strings and brackets matter, and whatever is malformed inside an element is found when it
/// is parsed.
std::vector<Slice> SplitArray(std::string_view text, const std::string& origin) {
  std::vector<Slice> slices;
  std::size_t depth = 0;
  std::size_t begin = 0;
  bool in_string = false;
  bool closed = false;
  const auto add = [&](std::size_t end) {
    const std::string_view piece = text.substr(begin, end - begin);
    const auto first = std::find_if_not(
        piece.begin(), piece.end(), [](unsigned char c) { return std::isspace(c) != 0; });
    const auto lead = static_cast<std::size_t>(first - piece.begin());
    const std::size_t line = 1 + CountLines(text.substr(0, begin + lead));
    if (lead == piece.size()) {
      if (closed && slices.empty()) {
        return;  // An empty array; the caller says that there is no record.
      }
      Fail(origin, line, "expected a record between `,` or `]`");
    }
    slices.push_back({piece.substr(lead), line});
  };
  std::size_t at = text.find('[');
  for (; at < text.size() && !closed; ++at) {
    const char c = text[at];
    if (in_string) {
      if (c == '\\') {
        ++at;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (depth++ == 0) {
        begin = at + 1;
      }
    } else if (c == ']' || c == '}') {
      closed = --depth == 0;
      if (closed) {
        add(at);
      }
    } else if (c == ',' && depth == 1) {
      add(at);
      begin = at + 1;
    }
  }
  const std::size_t line = 1 + CountLines(text.substr(0, std::min(at, text.size())));
  if (!closed) {
    Fail(origin, line, "the JSON array is not closed");
  }
  if (!IsBlank(text.substr(at))) {
    Fail(origin, line, "text after the end of the JSON array");
  }
  return slices;
}

json ParseSlice(const Slice& slice, const std::string& origin) {
  json value;
  try {
    value = json::parse(slice.text);
  } catch (const json::parse_error& error) {
    const std::size_t byte = std::min<std::size_t>(error.byte, slice.text.size());
    Fail(origin,
         slice.line + CountLines(slice.text.substr(0, byte)),
         "malformed JSON at byte " + std::to_string(error.byte) + " of the record");
  }
  if (!value.is_object()) {
    Fail(origin,
         slice.line,
         std::string("expected a record (a JSON object), found ") + value.type_name());
  }
  return value;
}

/// Reads keys of one record; every complaint names file:line, the record and the key.
class KeyReader {
 public:
  KeyReader(const json& value, const std::string& origin, std::size_t line)
      : value_(value), origin_(origin), line_(line) {}

  void set_name(const std::string& name) { label_ = "record \"" + name + "\": "; }
  bool Has(const char* key) const { return value_.contains(key) && !value_.at(key).is_null(); }

  std::string Text(const char* key) const {
    if (!value_.contains(key)) {
      Complain(std::string("required key `") + key + "` is missing");
    }
    const json& member = value_.at(key);
    if (!member.is_string()) {
      Complain(std::string("key `") + key + "` must be a string, found " + member.type_name());
    }
    return member.get<std::string>();
  }

  std::string FilledText(const char* key) const {
    std::string text = Text(key);
    if (IsBlank(text)) {
      Complain(std::string("key `") + key + "` must not be empty");
    }
    return text;
  }

  std::vector<std::string> Texts(const char* key) const {
    if (!value_.contains(key)) {
      Complain(std::string("required key `") + key + "` is missing (an empty array is allowed)");
    }
    const json& member = value_.at(key);
    if (!member.is_array()) {
      Complain(std::string("key `") + key + "` must be an array of strings, found " +
               member.type_name());
    }
    std::vector<std::string> texts;
    for (const json& element : member) {
      if (!element.is_string() || element.get_ref<const std::string&>().empty()) {
        Complain(std::string("key `") + key + "` must hold strings that are not empty");
      }
      texts.push_back(element.get<std::string>());
    }
    return texts;
  }

  [[noreturn]] void Complain(const std::string& what) const { Fail(origin_, line_, label_ + what); }

 private:
  const json& value_;
  const std::string& origin_;
  const std::size_t line_;
  std::string label_ = "record: ";
};

Record ReadMultiPlE(KeyReader& keys) {
  Record record;
  record.name = keys.FilledText("name");
  keys.set_name(record.name);
  const std::string language = keys.Text("language");
  const std::optional<Language> known = ParseLanguage(language);
  if (!known) {
    keys.Complain("language \"" + language + "\" is not known; allowed: py, python, java");
  }
  record.language = *known;
  record.prompt = keys.FilledText("prompt");
  record.tests = keys.FilledText("tests");
  record.stop_tokens = keys.Texts("stop_tokens");
  if (keys.Has("canonical_solution")) {
    record.canonical_solution = keys.Text("canonical_solution");
  }
  return record;
}

bool IsWordByte(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '$';
}

std::string ReplaceWord(std::string_view text, std::string_view word, std::string_view by) {
  std::string out;
  std::size_t at = 0;
  for (std::size_t hit = text.find(word); hit != std::string_view::npos;
       hit = text.find(word, hit + word.size())) {
    const std::size_t end = hit + word.size();
    const bool whole =
        (hit == 0 || !IsWordByte(text[hit - 1])) && (end == text.size() || !IsWordByte(text[end]));
    if (whole) {
      out.append(text.substr(at, hit - at)).append(by);
      at = end;
    }
  }
  return out.append(text.substr(at));
}

/// McEval's own form: the language is in the task's id, there are no stop strings in Java, and the
/// class is Solution.
Record ReadMcEval(KeyReader& keys) {
  Record record;
  const std::string id = keys.FilledText("task_id");
  keys.set_name(id);
  const std::size_t slash = std::min(id.find_first_of("/-"), id.size());
  const std::optional<Language> known = ParseLanguage(id.substr(0, slash));
  if (!known) {
    keys.Complain("key `task_id` must begin with Java/ or Python/");
  }
  record.language = *known;
  record.name = id;
  std::replace(record.name.begin(), record.name.end(), '/', '-');
  record.prompt = keys.FilledText("prompt");
  record.tests = keys.FilledText("test");
  if (keys.Has("canonical_solution")) {
    record.canonical_solution = keys.Text("canonical_solution");
  }
  if (keys.Has("stop_tokens")) {
    record.stop_tokens = keys.Texts("stop_tokens");
  } else if (record.language == Language::kPython) {
    record.stop_tokens = {"\ndef", "\n#", "\nif", "\nclass"};
  }
  if (record.language == Language::kPython) {
    return record;
  }
  record.prompt = ReplaceWord(record.prompt, "public class Solution", "class Solution");
  for (std::string* text : {&record.prompt, &record.tests}) {
    *text = ReplaceWord(*text, "Solution", "Problem");
  }
  if (record.canonical_solution) {
    record.canonical_solution = ReplaceWord(*record.canonical_solution, "Solution", "Problem");
  }
  return record;
}

}  // namespace

const char* LanguageName(Language language) {
  return language == Language::kPython ? "python" : "java";
}

std::optional<Language> ParseLanguage(std::string_view text) {
  if (text == "py" || text == "python" || text == "Python") {
    return Language::kPython;
  }
  if (text == "java" || text == "Java") {
    return Language::kJava;
  }
  return std::nullopt;
}

std::vector<Record> ParseBenchmark(std::string_view text, const std::string& origin) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text.substr(0, kByteOrderMark.size()) == kByteOrderMark) {
    text.remove_prefix(kByteOrderMark.size());
  }
  if (IsBlank(text)) {
    Fail(origin, 1, "the benchmark is empty");
  }
  const char first = text[text.find_first_not_of(" \t\r\n\v\f")];
  const std::vector<Slice> slices = first == '[' ? SplitArray(text, origin) : SplitLines(text);
  std::vector<Record> records;
  std::map<std::string, std::size_t> lines;
  for (const Slice& slice : slices) {
    const json value = ParseSlice(slice, origin);
    KeyReader keys(value, origin, slice.line);
    const bool upstream = value.contains("task_id") && !value.contains("name");
    Record record = upstream ? ReadMcEval(keys) : ReadMultiPlE(keys);
    const auto [where, fresh] = lines.emplace(record.name, slice.line);
    if (!fresh) {
      keys.Complain("this name was used on line " + std::to_string(where->second) + " already");
    }
    if (!records.empty() && records.front().language != record.language) {
      keys.Complain(std::string("its language is ") + LanguageName(record.language) +
                    ", the file's first record is " + LanguageName(records.front().language) +
                    "; a file holds one language");
    }
    records.push_back(std::move(record));
  }
  if (records.empty()) {
    Fail(origin, 1, "the benchmark holds no record");
  }
  return records;
}

std::vector<Record> ReadBenchmark(const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    throw BenchmarkError(path.string() + ": is a folder, expected a benchmark file");
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    throw BenchmarkError(path.string() + ": the benchmark file cannot be opened");
  }
  std::ostringstream text;
  text << file.rdbuf();
  if (file.bad()) {
    throw BenchmarkError(path.string() + ": the benchmark file cannot be read");
  }
  return ParseBenchmark(std::move(text).str(), path.string());
}

}  // namespace bitsweep::benchmark
