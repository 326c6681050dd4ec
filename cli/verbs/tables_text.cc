#include "cli/verbs/tables_text.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include "cli/render/json.h"
#include "coordinator/study/tables.h"

namespace bitsweep::cli {
namespace {

std::string TableTitle(const v1::Table& table) {
  return absl::StrCat(table.question(), " on ", table.benchmark());
}

std::string PageTitle(const TablesOptions& options, const std::vector<v1::Table>& tables) {
  if (tables.size() == 1) {
    return TableTitle(tables.front());
  }
  return options.sweep == "latest" ? "Tables of the latest sweep"
                                   : absl::StrCat("Tables of sweep ", options.sweep);
}

std::vector<std::string> Texts(const std::vector<v1::Table>& tables) {
  std::vector<std::string> texts;
  for (const v1::Table& table : tables) {
    texts.push_back(table.text());
  }
  return texts;
}

std::string JsonText(const std::vector<v1::Table>& tables) {
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const v1::Table& table : tables) {
    all.push_back(nlohmann::ordered_json::parse(table.text(), nullptr, /*allow_exceptions=*/false));
  }
  const nlohmann::ordered_json document = {{"tables", std::move(all)}};
  return document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

/// Tables after one another. A CSV file has no place for a title; several of them would not be told
/// apart.
std::string JoinedText(const TablesOptions& options, const std::vector<v1::Table>& tables) {
  std::string text;
  for (const v1::Table& table : tables) {
    if (!text.empty()) {
      text += "\n";
    }
    const bool titled = options.format == "csv"
                            ? tables.size() > 1
                            : options.format == "markdown" && !absl::StartsWith(table.text(), "#");
    if (titled) {
      absl::StrAppend(&text, "# ", TableTitle(table), options.format == "csv" ? "\n" : "\n\n");
    }
    absl::StrAppend(&text, table.text(), absl::EndsWith(table.text(), "\n") ? "" : "\n");
  }
  return text;
}

}  // namespace

v1::TableRequest ToRequest(const TablesOptions& options) {
  v1::TableRequest request;
  request.set_sweep(options.sweep);
  request.set_question(options.question);
  request.set_benchmark(options.benchmark);
  request.set_format(options.format);
  request.mutable_options()->set_intervals(options.intervals);
  request.mutable_options()->set_rounded(options.layout == "study");
  return request;
}

std::string TablesText(const TablesOptions& options, const std::vector<v1::Table>& tables) {
  if (tables.empty()) {
    return "";
  }
  if (options.format == "json") {
    return JsonText(tables);
  }
  if (options.format == "html") {
    return HtmlPage(PageTitle(options, tables), Texts(tables));
  }
  if (options.standalone) {
    return LatexDocument(Texts(tables));
  }
  return JoinedText(options, tables);
}

nlohmann::ordered_json ToJsonTable(const TablesOptions& options, const v1::Table& table) {
  return options.format == "json"
             ? nlohmann::ordered_json::parse(table.text(), nullptr, /*allow_exceptions=*/false)
             : ToJson(table);
}

std::string FileText(const TablesOptions& options, const v1::Table& table) {
  return options.format == "json" ? table.text() : TablesText(options, {table});
}

std::string FileName(const TablesOptions& options, const v1::Table& table) {
  std::string name = absl::StrCat(table.question(), "-", table.benchmark());
  for (char& c : name) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_' && c != '.') {
      c = '-';
    }
  }
  if (name.front() == '.') {
    name.front() = '-';
  }
  const absl::StatusOr<TableFormat> format = ParseTableFormat(options.format);
  return absl::StrCat(
      name, ".", std::string(FileExtension(format.value_or(TableFormat::kMarkdown))));
}

}  // namespace bitsweep::cli
