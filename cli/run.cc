#include "cli/run.h"

#include <algorithm>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include "cli/address.h"
#include "cli/verb.h"
#include "coordinator/study/nearest.h"

namespace bitsweep::cli {
namespace {

constexpr const char* kFooter = R"(
SWEEP is a sweep's number, its name, or "latest"; STAGE is the beginning of a stage's key.
Exit codes: 0 done, 1 the thing failed, 2 wrong usage or sweep file, 3 no coordinator,
4 not found, 5 refused, 130 detached by Ctrl-C.

A first sweep:
  bitsweep plan study.yaml --offline     what it would cost
  bitsweep submit study.yaml --watch     start it and look on
  bitsweep tables                        its results
  bitsweep stats                         which differences are more than chance
)";

void AddVerbs(CLI::App& app, VerbRun& chosen) {
  AddPlan(app, chosen);
  AddSubmit(app, chosen);
  AddStatus(app, chosen);
  AddWatch(app, chosen);
  AddTables(app, chosen);
  AddCells(app, chosen);
  AddStats(app, chosen);
  AddCompare(app, chosen);
  AddExport(app, chosen);
  AddImportOutcomes(app, chosen);
  AddWorkers(app, chosen);
  AddExplain(app, chosen);
  AddLogs(app, chosen);
  AddActions(app, chosen);
  AddVersion(app, chosen);
  AddCompletion(app, chosen);
}

// Writes "error: <first line>", then the rest as it is.
void ReportError(Environment& environment, const std::string& message) {
  const std::vector<std::string> lines = absl::StrSplit(message, '\n');
  Line first("error: ", Style::kBad);
  first.Add(lines.front());
  environment.err << first.Render(environment.err_terminal) << '\n';
  for (std::size_t i = 1; i < lines.size(); ++i) {
    if (!lines[i].empty()) {
      environment.err << Line(lines[i]).Render(environment.err_terminal) << '\n';
    }
  }
}

// What CLI11 says of a word that it does not know is less than we know: the verb or option that was
// probably meant.
std::string MeantInstead(const CLI::App& app, const std::vector<std::string>& arguments) {
  const CLI::App* scope = &app;
  std::vector<std::string> verbs;
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (!verb->get_group().empty()) {
      verbs.push_back(verb->get_name());
    }
    if (std::find(arguments.begin(), arguments.end(), verb->get_name()) != arguments.end()) {
      scope = verb;
    }
  }
  for (const std::string& argument : arguments) {
    if (argument.rfind("--", 0) == 0) {
      std::vector<std::string> options;
      for (const CLI::App* owner : {scope, &app}) {
        for (const CLI::Option* option : owner->get_options()) {
          for (const std::string& name : option->get_lnames()) {
            options.push_back("--" + name);
          }
        }
      }
      const std::string word = argument.substr(0, argument.find('='));
      const std::string nearest = Nearest(word, options);
      if (!nearest.empty() && nearest != word) {
        return absl::StrCat("'", word, "' is not an option; did you mean '", nearest, "'?");
      }
    } else if (scope == &app && argument.rfind('-', 0) != 0) {
      const std::string nearest = Nearest(argument, verbs);
      return nearest.empty()
                 ? absl::StrCat("there is no verb '", argument, "'")
                 : absl::StrCat("there is no verb '", argument, "'; did you mean '", nearest, "'?");
    }
  }
  return "";
}

ExitCode ReportUsage(const CLI::App& app,
                     const CLI::ParseError& error,
                     const std::vector<std::string>& arguments,
                     Environment& environment) {
  const bool unknown = dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr ||
                       dynamic_cast<const CLI::RequiredError*>(&error) != nullptr;
  std::string message = unknown ? MeantInstead(app, arguments) : "";
  if (message.empty()) {
    message = error.what();
  }
  ReportError(environment,
              absl::StrCat(message, "\nSee `bitsweep --help`, or --help after a verb."));
  return ExitCode::kUsage;
}

}  // namespace

CLI::Option* AddSweepArgument(CLI::App& verb, std::string& sweep, bool required) {
  CLI::Option* option =
      verb.add_option("SWEEP", sweep, "A sweep's number, its name, or latest")->type_name("");
  return required ? option->required() : option->capture_default_str();
}

ExitCode RunCommandLine(const std::vector<std::string>& arguments, Environment& environment) {
  CLI::App app("bitsweep: plans, runs and tabulates quantization studies of code models.",
               "bitsweep");
  app.footer(kFooter);
  app.require_subcommand(0, 1);
  app.fallthrough();
  GlobalOptions options{
      environment.variable("BITSWEEP_SERVER").value_or(std::string(kDefaultServer)), false};
  std::string output = "text";
  app.add_option("--server", options.server, "The coordinator's address (or BITSWEEP_SERVER)")
      ->type_name("HOST:PORT")
      ->capture_default_str();
  app.add_option("--output", output, "text for people, json for scripts")
      ->type_name("text|json")
      ->check(CLI::IsMember({"text", "json"}).description(""))
      ->capture_default_str();
  app.get_formatter()->column_width(34);
  VerbRun chosen;
  AddVerbs(app, chosen);
  for (CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
    verb->fallthrough();
    verb->footer("Everywhere: --server HOST:PORT, --output text|json");
  }
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.parse(std::move(reversed));
  } catch (const CLI::CallForHelp&) {
    environment.out << app.help();
    return ExitCode::kOk;
  } catch (const CLI::ParseError& error) {
    return ReportUsage(app, error, arguments, environment);
  }
  if (chosen == nullptr) {
    environment.err << app.help();
    return ExitCode::kUsage;
  }
  options.json = output == "json";
  Context context(environment, std::move(options));
  const absl::StatusOr<ExitCode> result = chosen(context);
  environment.out << std::flush;
  if (!result.ok()) {
    if (result.status().code() != absl::StatusCode::kCancelled) {
      ReportError(environment, std::string(result.status().message()));
    }
    return ExitCodeOf(result.status());
  }
  return *result;
}

}  // namespace bitsweep::cli
