// bitsweep compare [SWEEP] --with NAME: our figures beside published ones.
#include <memory>

#include "cli/client.h"
#include "cli/render/json.h"
#include "cli/verb.h"

#include "proto/base/status_macros.h"

namespace bitsweep::cli {
namespace {

struct CompareOptions {
  std::string sweep = "latest";
  std::string with;
  std::string format;
};

absl::StatusOr<ExitCode> RunCompare(CompareOptions options, Context& context) {
  if (options.format.empty()) {
    options.format = context.json() ? "json" : "text";
  }
  BITSWEEP_ASSIGN_OR_RETURN(Client * client, context.client());
  v1::CompareRequest request;
  request.set_sweep(options.sweep);
  request.set_with(options.with);
  request.set_format(options.format);
  BITSWEEP_ASSIGN_OR_RETURN(
      const v1::CompareResponse response,
      client->Call(client->results(), &v1::Results::Stub::Compare, request, kLongCallTimeout));
  context.PrintRaw(response.text());
  return ExitCode::kOk;
}

}  // namespace

void AddCompare(CLI::App& app, VerbRun& chosen) {
  auto options = std::make_shared<CompareOptions>();
  CLI::App* verb =
      app.add_subcommand("compare", "Put a sweep's figures beside published ones, cell by cell");
  AddSweepArgument(*verb, options->sweep);
  verb->add_option("--with", options->with, "The publication, e.g. arxiv:2503.07103")
      ->type_name("NAME")
      ->required();
  verb->add_option("--format", options->format, "How the comparison is written")
      ->type_name("text|markdown|csv|json")
      ->check(CLI::IsMember({"text", "markdown", "csv", "json"}).description(""));
  verb->callback([options, &chosen] {
    chosen = [options](Context& context) { return RunCompare(*options, context); };
  });
}

}  // namespace bitsweep::cli
