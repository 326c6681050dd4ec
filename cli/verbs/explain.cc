// bitsweep explain STAGE: why a stage waits, or what became of it.
#include <memory>

#include "cli/client.h"
#include "cli/render/json.h"
#include "cli/verb.h"

#include "proto/base/status_macros.h"

namespace bitsweep::cli {
namespace {

absl::StatusOr<ExitCode> RunExplain(const std::string& stage, Context& context) {
  BITSWEEP_ASSIGN_OR_RETURN(Client * client, context.client());
  v1::ExplainRequest request;
  request.set_stage(stage);
  BITSWEEP_ASSIGN_OR_RETURN(const v1::ExplainResponse response,
                            client->Call(client->sweeps(), &v1::Sweeps::Stub::Explain, request));
  if (context.json()) {
    context.PrintJson(ToJson(response));
  } else {
    context.PrintRaw(response.text());
  }
  return ExitCode::kOk;
}

}  // namespace

void AddExplain(CLI::App& app, VerbRun& chosen) {
  auto stage = std::make_shared<std::string>();
  CLI::App* verb = app.add_subcommand("explain", "Say why a stage waits, or what became of it");
  verb->add_option("STAGE", *stage, "At least 4 digits of the stage's key")
      ->type_name("")
      ->required();
  verb->callback([stage, &chosen] {
    chosen = [stage](Context& context) { return RunExplain(*stage, context); };
  });
}

}  // namespace bitsweep::cli
