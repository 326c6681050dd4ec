// bitsweep tables [SWEEP]: the study's tables, rendered by the coordinator.
#include <filesystem>
#include <fstream>
#include <memory>

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/strip.h>

#include "cli/client.h"
#include "cli/render/json.h"
#include "cli/render/text.h"
#include "cli/verb.h"

#include "proto/base/status_macros.h"

namespace bitsweep::cli {
namespace {

namespace fs = std::filesystem;

struct TablesOptions {
  std::string sweep = "latest";
  std::string question;
  std::string benchmark;
  std::string format = "markdown";
  std::string output_dir;
};

// Question and benchmark names come from a sweep file: what is no plain file name is spelt with
// '-'.
std::string FileName(const v1::Table& table, std::string_view format) {
  std::string name = absl::StrCat(table.question(), "-", table.benchmark());
  for (char& c : name) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_' && c != '.') {
      c = '-';
    }
  }
  if (name.front() == '.') {
    name.front() = '-';
  }
  return absl::StrCat(name, format == "csv" ? ".csv" : ".md");
}

absl::StatusOr<ExitCode> WriteFiles(const TablesOptions& options,
                                    const v1::TableResponse& response,
                                    Context& context) {
  std::error_code error;
  fs::create_directories(options.output_dir, error);
  if (error) {
    return absl::InvalidArgumentError(
        absl::StrCat("--output-dir ", options.output_dir, ": ", error.message()));
  }
  nlohmann::ordered_json written = nlohmann::ordered_json::array();
  for (const v1::Table& table : response.tables()) {
    const std::string path =
        (fs::path(options.output_dir) / FileName(table, options.format)).string();
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file << table.text() << (absl::EndsWith(table.text(), "\n") ? "" : "\n");
    file.close();
    if (!file) {
      return absl::InternalError(absl::StrCat(path, ": cannot be written"));
    }
    written.push_back(path);
    if (!context.json()) {
      context.Print(absl::StrCat("wrote ", path));
    }
  }
  if (context.json()) {
    context.PrintJson({{"files", written}});
  }
  return ExitCode::kOk;
}

void PrintTables(const TablesOptions& options,
                 const v1::TableResponse& response,
                 Context& context) {
  bool first = true;
  for (const v1::Table& table : response.tables()) {
    if (!first) {
      context.Print(Line());
    }
    first = false;
    // A CSV file has no place for a title; several of them after one another would not be told
    // apart.
    const bool titled =
        options.format == "csv" ? response.tables_size() > 1 : !absl::StartsWith(table.text(), "#");
    if (titled) {
      context.Print(
          Line(absl::StrCat("# ", table.question(), " on ", table.benchmark()), Style::kBold));
      if (options.format != "csv") {
        context.Print(Line());
      }
    }
    context.PrintRaw(table.text());
  }
}

absl::StatusOr<ExitCode> RunTables(const TablesOptions& options, Context& context) {
  BITSWEEP_ASSIGN_OR_RETURN(Client * client, context.client());
  v1::TableRequest request;
  request.set_sweep(options.sweep);
  request.set_question(options.question);
  request.set_benchmark(options.benchmark);
  request.set_format(options.format);
  BITSWEEP_ASSIGN_OR_RETURN(
      const v1::TableResponse response,
      client->Call(client->results(), &v1::Results::Stub::Table, request, kLongCallTimeout));
  if (!options.output_dir.empty()) {
    return WriteFiles(options, response, context);
  }
  if (context.json()) {
    context.PrintJson(ToJson(response));
  } else if (response.tables().empty()) {
    context.Print("This sweep has no tables: its file asks no question.");
  } else {
    PrintTables(options, response, context);
  }
  return ExitCode::kOk;
}

}  // namespace

void AddTables(CLI::App& app, VerbRun& chosen) {
  auto options = std::make_shared<TablesOptions>();
  CLI::App* verb = app.add_subcommand("tables", "Print the tables of a sweep's questions");
  AddSweepArgument(*verb, options->sweep);
  verb->add_option("--question", options->question, "Only this question of the sweep file")
      ->type_name("NAME");
  verb->add_option("--benchmark", options->benchmark, "Only this benchmark")->type_name("NAME");
  verb->add_option("--format", options->format, "How the tables are written")
      ->type_name("markdown|csv")
      ->check(CLI::IsMember({"markdown", "csv"}).description(""))
      ->capture_default_str();
  verb->add_option("--output-dir", options->output_dir, "Write one file per table into this folder")
      ->type_name("DIR");
  verb->callback([options, &chosen] {
    chosen = [options](Context& context) { return RunTables(*options, context); };
  });
}

}  // namespace bitsweep::cli
