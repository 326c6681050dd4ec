// bitsweep cancel|pause|resume|retry SWEEP: four verbs of one shape.
#include <array>
#include <memory>

#include <absl/strings/str_cat.h>

#include "cli/client.h"
#include "cli/render/json.h"
#include "cli/render/text.h"
#include "cli/verb.h"

#include "proto/base/status_macros.h"

namespace bitsweep::cli {
namespace {

using Method = grpc::Status (v1::Sweeps::Stub::*)(grpc::ClientContext*,
                                                  const v1::SweepActionRequest&,
                                                  v1::SweepActionResponse*);

struct Action {
  const char* verb;
  const char* done;  // "<done> demo (sweep 3): 5 stages"
  const char* help;
  Method method;
};

constexpr std::array kActions = {
    Action{"cancel",
           "cancelled",
           "Cancel a sweep: stages that no other sweep wants stop",
           &v1::Sweeps::Stub::Cancel},
    Action{"pause",
           "paused",
           "Start no further stage of a sweep; running ones end",
           &v1::Sweeps::Stub::Pause},
    Action{"resume", "resumed", "Go on with a paused sweep", &v1::Sweeps::Stub::Resume},
    Action{"retry", "retrying", "Run the failed stages of a sweep again", &v1::Sweeps::Stub::Retry},
};

struct ActionOptions {
  std::string sweep;
  std::string reason;
};

absl::StatusOr<ExitCode> RunAction(const Action& action,
                                   const ActionOptions& options,
                                   Context& context) {
  BITSWEEP_ASSIGN_OR_RETURN(Client * client, context.client());
  v1::SweepActionRequest request;
  request.set_sweep(options.sweep);
  request.set_reason(options.reason);
  BITSWEEP_ASSIGN_OR_RETURN(const v1::SweepActionResponse response,
                            client->Call(client->sweeps(), action.method, request));
  if (context.json()) {
    context.PrintJson(ToJson(response));
  } else {
    context.Print(absl::StrCat(action.done,
                               " ",
                               response.name(),
                               " (sweep ",
                               response.sweep(),
                               "): ",
                               Plural(response.stages(), "stage"),
                               " changed"));
  }
  return ExitCode::kOk;
}

}  // namespace

void AddActions(CLI::App& app, VerbRun& chosen) {
  for (const Action& action : kActions) {
    auto options = std::make_shared<ActionOptions>();
    CLI::App* verb = app.add_subcommand(action.verb, action.help);
    // Never "latest" by itself: what is changed must be named.
    AddSweepArgument(*verb, options->sweep, /*required=*/true);
    verb->add_option("--reason", options->reason, "Kept with the sweep's history")
        ->type_name("TEXT");
    verb->callback([&action, options, &chosen] {
      chosen = [&action, options](Context& context) {
        return RunAction(action, *options, context);
      };
    });
  }
}

}  // namespace bitsweep::cli
