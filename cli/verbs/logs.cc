// bitsweep logs STAGE: what the stage's process wrote to its standard error.
#include <memory>

#include <absl/strings/str_cat.h>

#include "cli/client.h"
#include "cli/render/json.h"
#include "cli/render/sweep_view.h"
#include "cli/render/text.h"
#include "cli/verb.h"

#include "proto/base/status_macros.h"

namespace bitsweep::cli {
namespace {

struct LogsOptions {
  std::string stage;
  int attempt = 0;
};

absl::StatusOr<ExitCode> RunLogs(const LogsOptions& options, Context& context) {
  BITSWEEP_ASSIGN_OR_RETURN(Client * client, context.client());
  v1::LogsRequest request;
  request.set_stage(options.stage);
  request.set_attempt(options.attempt);
  BITSWEEP_ASSIGN_OR_RETURN(const v1::LogsResponse response,
                            client->Call(client->sweeps(), &v1::Sweeps::Stub::Logs, request));
  if (context.json()) {
    context.PrintJson(ToJson(response));
    return ExitCode::kOk;
  }
  Line head(absl::StrCat("stage ", ShortKey(response.stage()), ", attempt ", response.attempt()),
            Style::kDim);
  head.Add(response.worker().empty() ? "" : absl::StrCat(" on ", response.worker()), Style::kDim);
  head.Add(": ", Style::kDim).Add(response.state(), StyleOfState(response.state()));
  // On standard error, so that a log can be piped on without it.
  context.Remark(head);
  if (response.text().empty()) {
    context.Remark(Line("This attempt wrote no log.", Style::kDim));
  } else {
    context.PrintRaw(response.text());
  }
  return ExitCode::kOk;
}

}  // namespace

void AddLogs(CLI::App& app, VerbRun& chosen) {
  auto options = std::make_shared<LogsOptions>();
  CLI::App* verb = app.add_subcommand("logs", "Print the log of a stage");
  verb->add_option("STAGE", options->stage, "At least 4 digits of the stage's key")
      ->type_name("")
      ->required();
  verb->add_option("--attempt", options->attempt, "Which attempt, from 1; the newest when left out")
      ->type_name("N")
      ->check(CLI::PositiveNumber);
  verb->callback([options, &chosen] {
    chosen = [options](Context& context) { return RunLogs(*options, context); };
  });
}

}  // namespace bitsweep::cli
