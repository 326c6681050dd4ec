// bitsweep import-outcomes FILE: a sweep of somebody else's outcomes. The whole file is read and
// checked here before anything is sent; the coordinator reads it once more and takes all of it or
// nothing.
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <absl/strings/str_join.h>

#include "cli/client.h"
#include "cli/render/json.h"
#include "cli/render/table.h"
#include "cli/render/text.h"
#include "cli/retry.h"
#include "cli/upload.h"
#include "cli/verb.h"
#include "coordinator/outcomes/imported_sweep.h"

#include "proto/base/digest.h"
#include "proto/base/status_macros.h"
#include "proto/contract/limits.h"

namespace bitsweep::cli {
namespace {

namespace fs = std::filesystem;

struct ImportOptions {
  std::string file, name;
  std::vector<std::string> maps, defaults;
  bool dry_run = false;
};

/// A file that was read and found right.
struct CheckedFile {
  OutcomesFile outcomes;
  ImportedSweep sweep;
  std::string base_name;  // Without the folder: what the coordinator is told.
  FileFacts facts;
};

absl::StatusOr<std::string> ReadBytes(const std::string& path) {
  const auto error = [&](const std::string& message) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", message));
  };
  std::error_code code;
  if (fs::is_directory(path, code)) {
    return error("is a folder");
  }
  std::ifstream stream(path, std::ios::binary);
  if (!stream) {
    return error(absl::StrCat("cannot be read (", std::strerror(errno), ")"));
  }
  const std::uintmax_t size = fs::file_size(path, code);
  if (!code && size > static_cast<std::uintmax_t>(kOutcomesBytesMax)) {
    return error(absl::StrCat("has ", size, " bytes; at most ", kOutcomesBytesMax));
  }
  std::ostringstream text;
  text << stream.rdbuf();
  return std::move(text).str();
}

absl::StatusOr<CheckedFile> CheckFile(const ImportOptions& options) {
  if (!IsSweepName(options.name)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--name '",
                     options.name,
                     "' is no name; allowed: letters, digits, '.', '_', '-' and '+', the first not "
                     "'.' or '-'"));
  }
  BITSWEEP_ASSIGN_OR_RETURN(const OutcomesOptions how,
                            ParseOutcomesOptions(options.maps, options.defaults));
  BITSWEEP_ASSIGN_OR_RETURN(std::string bytes, ReadBytes(options.file));
  CheckedFile file;
  file.base_name = fs::path(options.file).filename().string();
  file.facts = {Sha256Hex(bytes), static_cast<std::int64_t>(bytes.size()), std::nullopt};
  BITSWEEP_ASSIGN_OR_RETURN(const std::string text, OutcomesText(std::move(bytes), options.file));
  BITSWEEP_ASSIGN_OR_RETURN(file.outcomes, ReadOutcomes(text, options.file, how));
  file.sweep = MakeImportedSweep(file.outcomes,
                                 {file.base_name, file.facts.digest, options.maps, options.defaults},
                                 options.name);
  return file;
}

double PassAtOne(const OutcomeCell& cell) {
  double sum = 0;
  for (const OutcomeProblem& problem : cell.problems) {
    int passed = 0;
    for (const OutcomeSample& sample : problem.samples) {
      passed += sample.passed ? 1 : 0;
    }
    sum += static_cast<double>(passed) / static_cast<double>(problem.samples.size());
  }
  return sum / static_cast<double>(cell.problems.size());
}

std::vector<std::string> QuestionNames(const CheckedFile& file) {
  std::vector<std::string> names;
  for (const QuestionSpec& question : file.sweep.spec.questions) {
    names.push_back(question.name);
  }
  return names;
}

void PrintDryRun(const CheckedFile& file, Context& context) {
  Table table({{"model", Align::kLeft, 1},
               {"variant", Align::kLeft, 1},
               {"benchmark", Align::kLeft, 1},
               {"language"},
               {"seed", Align::kRight},
               {"problems", Align::kRight},
               {"samples", Align::kRight},
               {"pass@1", Align::kRight}});
  for (const OutcomeCell& cell : file.outcomes.cells) {
    std::string variant = cell.key.precision;
    for (const std::string& part : {cell.key.calibration, cell.key.finetuned}) {
      variant += part == "none" ? "" : absl::StrCat("-", part);
    }
    table.AddRow({Line(cell.key.model),
                  Line(variant),
                  Line(cell.key.benchmark),
                  Line(cell.key.language),
                  Line(absl::StrCat(cell.key.seed)),
                  Line(absl::StrCat(cell.problems.size())),
                  Line(absl::StrCat(cell.problems.front().samples.size())),
                  Line(absl::StrFormat("%.1f%%", 100 * PassAtOne(cell)))});
  }
  context.Print(table.Render(context.terminal()));
  context.Print(Line());
  context.Print(absl::StrCat(Plural(file.outcomes.rows, "row"),
                             " in ",
                             Plural(static_cast<std::int64_t>(file.outcomes.cells.size()), "cell"),
                             "; questions: ",
                             absl::StrJoin(QuestionNames(file), ", "),
                             ". Nothing was sent."));
}

nlohmann::ordered_json DryRunJson(const CheckedFile& file) {
  nlohmann::ordered_json cells = nlohmann::ordered_json::array();
  for (const OutcomeCell& cell : file.outcomes.cells) {
    cells.push_back({{"model", cell.key.model},
                     {"precision", cell.key.precision},
                     {"calibration", cell.key.calibration},
                     {"finetuned", cell.key.finetuned},
                     {"benchmark", cell.key.benchmark},
                     {"language", cell.key.language},
                     {"seed", cell.key.seed},
                     {"problems", cell.problems.size()},
                     {"samples", cell.problems.front().samples.size()},
                     {"pass_at_1", PassAtOne(cell)}});
  }
  return {{"rows", file.outcomes.rows},
          {"cells", cells},
          {"questions", QuestionNames(file)},
          {"notes", file.outcomes.notes}};
}

absl::StatusOr<v1::ImportResponse> Send(const ImportOptions& options,
                                        const CheckedFile& file,
                                        Context& context) {
  BITSWEEP_ASSIGN_OR_RETURN(Client * client, context.client());
  // The first contact fails at once: a wrong address is no reason to wait.
  BITSWEEP_RETURN_IF_ERROR(
      client->Call(client->sweeps(), &v1::Sweeps::Stub::Version, v1::VersionRequest()).status());
  SweepFile place;
  place.path = options.file;
  const FileFactsByPath facts = {{file.base_name, file.facts}};
  BITSWEEP_RETURN_IF_ERROR(RetryWhileAway<UploadTotals>(context, [&] {
                             return UploadMissing(context, *client, place, facts);
                           }).status());
  v1::ImportRequest request;
  request.set_request_id(MakeRequestId());
  request.set_name(options.name);
  request.set_user(context.environment().variable("USER").value_or(""));
  request.set_file_name(file.base_name);
  request.set_sha256(file.facts.digest);
  request.mutable_maps()->Add(options.maps.begin(), options.maps.end());
  request.mutable_defaults()->Add(options.defaults.begin(), options.defaults.end());
  return RetryWhileAway<v1::ImportResponse>(context, [&] {
    return client->Call(client->results(), &v1::Results::Stub::Import, request, kLongCallTimeout);
  });
}

absl::StatusOr<ExitCode> RunImport(const ImportOptions& options, Context& context) {
  BITSWEEP_ASSIGN_OR_RETURN(const CheckedFile file, CheckFile(options));
  for (const std::string& note : file.outcomes.notes) {
    context.Remark(Line("note: ", Style::kWarn).Add(note));
  }
  if (options.dry_run) {
    if (context.json()) {
      context.PrintJson(DryRunJson(file));
    } else {
      PrintDryRun(file, context);
    }
    return ExitCode::kOk;
  }
  BITSWEEP_ASSIGN_OR_RETURN(const v1::ImportResponse response, Send(options, file, context));
  if (context.json()) {
    context.PrintJson(ToJson(response));
    return ExitCode::kOk;
  }
  Line line("imported ");
  line.Add(response.name(), Style::kBold)
      .Add(absl::StrCat(" as sweep ",
                        response.sweep(),
                        ": ",
                        Plural(response.rows(), "row"),
                        " in ",
                        Plural(response.cells(), "cell"),
                        "; questions: ",
                        absl::StrJoin(response.questions(), ", ")));
  context.Print(line);
  context.Print(absl::StrCat("Its tables: bitsweep tables ",
                             response.sweep(),
                             "; which differences are more than chance: bitsweep stats ",
                             response.sweep()));
  return ExitCode::kOk;
}

}  // namespace

void AddImportOutcomes(CLI::App& app, VerbRun& chosen) {
  auto options = std::make_shared<ImportOptions>();
  CLI::App* verb =
      app.add_subcommand("import-outcomes", "Make a sweep of outcomes in a CSV file");
  verb->add_option("FILE",
                   options->file,
                   "CSV, may be gzipped: model, quantization, language, problem, pass and more")
      ->type_name("")
      ->required();
  verb->add_option("--name", options->name, "What the sweep is called")
      ->type_name("NAME")
      ->required();
  verb->add_option("--map",
                   options->maps,
                   "What labels mean, e.g. quantization='2bit-rnd=2-bit,random'; repeatable")
      ->type_name("COLUMN=LABEL=VALUE,...")
      ->allow_extra_args(false);
  verb->add_option("--default",
                   options->defaults,
                   "For a column that is missing or empty, e.g. benchmark=multipl-e; repeatable")
      ->type_name("COLUMN=VALUE")
      ->allow_extra_args(false);
  verb->add_flag("--dry-run", options->dry_run, "Check the file and show its cells; send nothing");
  verb->callback([options, &chosen] {
    chosen = [options](Context& context) { return RunImport(*options, context); };
  });
}

}  // namespace bitsweep::cli
