// bitsweep tables [SWEEP]: the study's tables, rendered by the coordinator.
#include <filesystem>
#include <fstream>
#include <memory>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include "cli/client.h"
#include "cli/verb.h"
#include "cli/verbs/tables_text.h"
#include "cli/verbs/tables_watch.h"
#include "coordinator/study/tables.h"

#include "proto/base/status_macros.h"

namespace bitsweep::cli {
namespace {

namespace fs = std::filesystem;

absl::StatusOr<ExitCode> WriteFiles(const TablesOptions& options,
                                    const std::vector<v1::Table>& tables,
                                    Context& context) {
  std::error_code error;
  fs::create_directories(options.output_dir, error);
  if (error) {
    return absl::InvalidArgumentError(
        absl::StrCat("--output-dir ", options.output_dir, ": ", error.message()));
  }
  nlohmann::ordered_json written = nlohmann::ordered_json::array();
  for (const v1::Table& table : tables) {
    const std::string path = (fs::path(options.output_dir) / FileName(options, table)).string();
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file << FileText(options, table);
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

absl::Status CheckOptions(const TablesOptions& options) {
  if (options.standalone && options.format != "latex") {
    return absl::InvalidArgumentError(
        absl::StrCat("--standalone goes with --format latex, not with ", options.format));
  }
  if (options.watch && (options.format == "latex" || options.format == "html")) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--watch goes with --format markdown, csv or json, not with ", options.format));
  }
  return absl::OkStatus();
}

absl::StatusOr<ExitCode> RunTables(const TablesOptions& options, Context& context) {
  BITSWEEP_RETURN_IF_ERROR(CheckOptions(options));
  if (options.watch) {
    return WatchTables(options, context);
  }
  BITSWEEP_ASSIGN_OR_RETURN(Client * client, context.client());
  BITSWEEP_ASSIGN_OR_RETURN(
      const v1::TableResponse response,
      client->Call(
          client->results(), &v1::Results::Stub::Table, ToRequest(options), kLongCallTimeout));
  const std::vector<v1::Table> tables(response.tables().begin(), response.tables().end());
  if (!options.output_dir.empty()) {
    return WriteFiles(options, tables, context);
  }
  if (context.json()) {
    nlohmann::ordered_json all = nlohmann::ordered_json::array();
    for (const v1::Table& table : tables) {
      all.push_back(ToJsonTable(options, table));
    }
    context.PrintJson({{"tables", all}});
  } else if (tables.empty()) {
    context.Remark("This sweep has no tables: its file asks no question.");
  } else {
    context.PrintRaw(TablesText(options, tables));
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
      ->type_name(absl::StrJoin(TableFormatNames(), "|"))
      ->check(CLI::IsMember(TableFormatNames()).description(""))
      ->capture_default_str();
  verb->add_flag("--intervals", options->intervals, "95% bootstrap intervals beside the figures");
  verb->add_option("--layout",
                   options->layout,
                   "study: compare figures rounded as printed, as the study did")
      ->type_name("exact|study")
      ->check(CLI::IsMember({"exact", "study"}).description(""))
      ->capture_default_str();
  verb->add_flag("--standalone", options->standalone, "With latex: a document that compiles");
  CLI::Option* folder =
      verb->add_option(
              "--output-dir", options->output_dir, "Write one file per table into this folder")
          ->type_name("DIR");
  verb->add_flag("--watch", options->watch, "Keep them up to date until the sweep has ended")
      ->excludes(folder);
  verb->add_option("--give-up-after",
                   options->give_up_after,
                   "With --watch: how long to wait for a coordinator that went away")
      ->type_name("SECONDS")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  verb->callback([options, &chosen] {
    chosen = [options](Context& context) { return RunTables(*options, context); };
  });
}

}  // namespace bitsweep::cli
