// bitsweep version: of this tool and of the coordinator.
#include <memory>

#include <absl/strings/str_cat.h>

#include "bitsweep_generated/build_id.h"
#include "cli/client.h"
#include "cli/render/json.h"
#include "cli/verb.h"

#include "proto/base/status_macros.h"

namespace bitsweep::cli {
namespace {

absl::StatusOr<ExitCode> RunVersion(bool client_only, Context& context) {
  nlohmann::ordered_json json = {{"client", {{"version", kVersion}, {"build", kBuildId}}}};
  if (!context.json()) {
    context.Print(absl::StrCat("bitsweep ", kVersion, " (", kBuildId, ")"));
    context.environment().out << std::flush;
  }
  if (!client_only) {
    BITSWEEP_ASSIGN_OR_RETURN(Client * client, context.client());
    BITSWEEP_ASSIGN_OR_RETURN(
        const v1::VersionResponse response,
        client->Call(client->sweeps(), &v1::Sweeps::Stub::Version, v1::VersionRequest()));
    json["server"] = ToJson(response);
    json["server"]["address"] = client->address().text();
    if (!context.json()) {
      context.Print(absl::StrCat("bitsweepd ",
                                 response.version(),
                                 " (",
                                 response.build(),
                                 ") at ",
                                 client->address().text()));
    }
  }
  if (context.json()) {
    context.PrintJson(json);
  }
  return ExitCode::kOk;
}

}  // namespace

void AddVersion(CLI::App& app, VerbRun& chosen) {
  auto client_only = std::make_shared<bool>(false);
  CLI::App* verb =
      app.add_subcommand("version", "Print the versions of this tool and of the coordinator");
  verb->add_flag("--client", *client_only, "Only this tool's");
  verb->callback([client_only, &chosen] {
    chosen = [client_only](Context& context) { return RunVersion(*client_only, context); };
  });
}

}  // namespace bitsweep::cli
