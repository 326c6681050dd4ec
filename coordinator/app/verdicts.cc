#include "coordinator/app/verdicts.h"

#include <absl/strings/str_cat.h>
#include <nlohmann/json.hpp>

namespace bitsweep {
namespace {

using nlohmann::json;

std::optional<int> OptionalInt(const json& line, const char* name) {
  const auto member = line.find(name);
  return member == line.end() || member->is_null() ? std::nullopt : std::optional<int>(member->get<int>());
}

VerdictRow RowFrom(const json& line) {
  VerdictRow row;
  row.problem = line.at("name").get<std::string>();
  row.sample = line.at("sample").get<int>();
  row.verdict = line.at("verdict").get<std::string>();
  row.passed = line.at("passed").get<bool>();
  row.study_verdict = line.value("study_verdict", "");
  row.study_passed = line.value("study_passed", row.passed);
  row.cpu_seconds = line.value("cpu_seconds", 0.0);
  row.wall_seconds = line.value("wall_seconds", 0.0);
  row.memory_bytes = line.value("memory_bytes", std::int64_t{0});
  row.exit_code = OptionalInt(line, "exit_code");
  row.signal = OptionalInt(line, "signal");
  row.isolation = line.value("isolation", "");
  row.witness = line.value("witness", "");
  return row;
}

}  // namespace

absl::StatusOr<std::vector<VerdictRow>> ParseVerdicts(std::string_view jsonl) {
  std::vector<VerdictRow> rows;
  int number = 0;
  while (!jsonl.empty()) {
    const std::size_t end = jsonl.find('\n');
    const std::string_view line = jsonl.substr(0, end);
    jsonl.remove_prefix(end == std::string_view::npos ? jsonl.size() : end + 1);
    ++number;
    if (line.empty()) {
      continue;
    }
    try {
      rows.push_back(RowFrom(json::parse(line)));
    } catch (const json::exception& error) {
      return absl::InvalidArgumentError(absl::StrCat("verdicts.jsonl:", number, ": ", error.what()));
    }
    if (rows.back().verdict == "infrastructure") {
      return absl::InvalidArgumentError(absl::StrCat("verdicts.jsonl:", number,
                                                     ": verdict \"infrastructure\" is the machine's failure and never a result"));
    }
    if (rows.back().passed != (rows.back().verdict == "pass")) {
      return absl::InvalidArgumentError(
          absl::StrCat("verdicts.jsonl:", number, ": passed contradicts verdict \"", rows.back().verdict, "\""));
    }
  }
  return rows;
}

}  // namespace bitsweep
