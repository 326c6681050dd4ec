// bitsweep plan FILE: what a sweep would be, without starting anything.
#include <algorithm>
#include <memory>

#include <absl/strings/str_cat.h>

#include "cli/client.h"
#include "cli/sweep_file.h"
#include "cli/upload.h"
#include "cli/verb.h"

#include "proto/base/status_macros.h"

namespace bitsweep::cli {
namespace {

using Json = nlohmann::ordered_json;

struct PlanOptions {
  std::string file;
  std::string models_dir;
  std::vector<std::string> settings;
  bool offline = false;
};

// The coordinator's plan, which alone knows what is cached.
absl::StatusOr<Json> AskCoordinator(Context& context,
                                    const SweepFile& file,
                                    const FileFactsByPath& facts) {
  BITSWEEP_ASSIGN_OR_RETURN(Client * client, context.client());
  BITSWEEP_RETURN_IF_ERROR(UploadMissing(context, *client, file, facts).status());
  v1::PlanRequest request;
  *request.mutable_source() = ToSource(file, facts);
  BITSWEEP_ASSIGN_OR_RETURN(
      const v1::PlanResponse response,
      client->Call(client->sweeps(), &v1::Sweeps::Stub::Plan, request, kLongCallTimeout));
  Json plan = Json::parse(response.plan_json(), nullptr, /*allow_exceptions=*/false);
  if (!plan.is_object()) {
    return absl::InternalError(absl::StrCat(
        "the coordinator at ", client->address().text(), " sent a plan that is not JSON"));
  }
  return plan;
}

std::optional<int> CachedOf(const Json& plan) {
  const bool known = plan.value("cache_known", true);
  return known && plan.contains("cached") && plan["cached"].is_number_integer()
             ? std::optional(plan["cached"].get<int>())
             : std::nullopt;
}

absl::StatusOr<ExitCode> RunPlan(const PlanOptions& options, Context& context) {
  BITSWEEP_ASSIGN_OR_RETURN(const SweepFile file, ReadSweepFile(options.file, options.settings));
  BITSWEEP_ASSIGN_OR_RETURN(const PartialFacts partial, CheckSweepFilesThatExist(file));
  BITSWEEP_ASSIGN_OR_RETURN(const ShapesByModel shapes, ReadModelShapes(file, options.models_dir));
  for (const std::string& missing : partial.missing) {
    context.Remark(Line("warning: ", Style::kWarn)
                       .Add(absl::StrCat(missing, ": no such file; submit will refuse it")));
  }
  std::optional<int> cached;
  Json remote;
  if (!options.offline && !partial.missing.empty()) {
    context.Remark(Line("warning: ", Style::kWarn)
                       .Add("the coordinator was not asked what is cached: it needs every file"));
  } else if (!options.offline) {
    auto asked = AskCoordinator(context, file, partial.facts);
    if (!asked.ok()) {
      const std::string hint =
          IsConnectionLoss(asked.status()) ? "\nA plan needs no coordinator with --offline." : "";
      return absl::Status(asked.status().code(), absl::StrCat(asked.status().message(), hint));
    }
    remote = *std::move(asked);
    cached = CachedOf(remote);
  }
  if (!context.json()) {
    context.PrintRaw(PlanText(file.spec, partial.facts, shapes, cached));
    return ExitCode::kOk;
  }
  Json plan = PlanJson(file.spec, partial.facts, shapes, cached);
  // The coordinator may know shapes that this machine does not: of models that a worker has
  // inspected.
  if (remote.contains("checkpoints") && remote["checkpoints"].size() > plan["checkpoints"].size()) {
    plan["checkpoints"] = remote["checkpoints"];
  }
  context.PrintJson(plan);
  return ExitCode::kOk;
}

}  // namespace

void AddPlan(CLI::App& app, VerbRun& chosen) {
  auto options = std::make_shared<PlanOptions>();
  CLI::App* verb =
      app.add_subcommand("plan", "Show what a sweep file would run: cells, stages, sizes");
  verb->add_option("FILE", options->file, "The sweep file, YAML or JSON")
      ->type_name("")
      ->required();
  verb->add_flag(
      "--offline", options->offline, "Ask no coordinator (what is cached is then not known)");
  verb->add_option("--models-dir",
                   options->models_dir,
                   "Read config.json of the models from here, for sizes (default: beside FILE)")
      ->type_name("DIR");
  verb->add_option("--set", options->settings, "Set a variable of the sweep file; repeatable")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  verb->callback([options, &chosen] {
    chosen = [options](Context& context) { return RunPlan(*options, context); };
  });
}

}  // namespace bitsweep::cli
