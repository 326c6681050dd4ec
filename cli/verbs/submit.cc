// bitsweep submit FILE: checks everything here, uploads what is missing, then hands the sweep over
// in one call. Until that call nothing exists on the coordinator but blobs without a name.
#include <memory>

#include <absl/strings/str_cat.h>

#include "cli/client.h"
#include "cli/render/json.h"
#include "cli/render/text.h"
#include "cli/retry.h"
#include "cli/sweep_file.h"
#include "cli/upload.h"
#include "cli/verb.h"
#include "cli/verbs/watch.h"

#include "proto/base/status_macros.h"

namespace bitsweep::cli {
namespace {

struct SubmitOptions {
  std::string file;
  std::vector<std::string> settings;
  std::string name;
  int priority = 0;
  bool watch = false;
};

void Report(Context& context,
            const SweepFile& file,
            const FileFactsByPath& facts,
            const v1::SubmitResponse& response) {
  const PlanCounts counts = CountPlan(file.spec, facts);
  int stages = 0;
  for (const auto& [kind, count] : counts.stages) {
    stages += count;
  }
  Line line(response.existed() ? "already submitted: " : "submitted ");
  line.Add(response.name(), Style::kBold).Add(absl::StrCat(" as sweep ", response.sweep(), ": "));
  line.Add(absl::StrCat(Plural(response.cells(), "cell"),
                        " in ",
                        Plural(std::max(stages, response.stages()), "stage")));
  if (response.cached() > 0) {
    line.Add(absl::StrCat(", ", response.cached(), " cached"));
  }
  context.Print(line);
}

// Without a worker nothing will happen, and nothing would say so.
void WarnWithoutWorkers(Context& context, Client& client) {
  const auto workers =
      client.Call(client.sweeps(), &v1::Sweeps::Stub::Workers, v1::WorkersRequest());
  if (!workers.ok()) {
    return;
  }
  for (const v1::WorkerStatus& worker : workers->workers()) {
    if (worker.state() == "connected") {
      return;
    }
  }
  context.Remark(Line("No worker is connected: the sweep waits for one. ", Style::kWarn)
                     .Add(absl::StrCat("Start it with: bitsweep-worker --server ",
                                       client.address().text(),
                                       " --cache-dir DIR --model-root DIR")));
}

absl::StatusOr<ExitCode> RunSubmit(const SubmitOptions& options, Context& context) {
  BITSWEEP_ASSIGN_OR_RETURN(const SweepFile file, ReadSweepFile(options.file, options.settings));
  BITSWEEP_ASSIGN_OR_RETURN(const FileFactsByPath facts, CheckSweepFiles(file));
  BITSWEEP_ASSIGN_OR_RETURN(Client * client, context.client());
  // The first contact fails at once: a wrong address is no reason to wait.
  BITSWEEP_RETURN_IF_ERROR(
      client->Call(client->sweeps(), &v1::Sweeps::Stub::Version, v1::VersionRequest()).status());
  BITSWEEP_ASSIGN_OR_RETURN(const UploadTotals uploaded, RetryWhileAway<UploadTotals>(context, [&] {
                              return UploadMissing(context, *client, file, facts);
                            }));
  if (uploaded.files > 0 && !context.json()) {
    context.Print(absl::StrCat(
        "uploaded ", Plural(uploaded.files, "file"), " (", FormatBytes(uploaded.bytes), ")"));
  }
  v1::SubmitRequest request;
  *request.mutable_source() = ToSource(file, facts);
  request.set_request_id(MakeRequestId());
  request.set_priority(options.priority);
  request.set_user(context.environment().variable("USER").value_or(""));
  request.set_name(options.name);
  BITSWEEP_ASSIGN_OR_RETURN(
      const v1::SubmitResponse response, RetryWhileAway<v1::SubmitResponse>(context, [&] {
        return client->Call(client->sweeps(), &v1::Sweeps::Stub::Submit, request, kLongCallTimeout);
      }));
  if (context.json()) {
    context.PrintJson(ToJson(response));
  } else {
    Report(context, file, facts, response);
  }
  if (options.watch) {
    return FollowSweep(context, absl::StrCat(response.sweep()), absl::Minutes(10));
  }
  if (!context.json()) {
    context.Print(absl::StrCat("Follow it with: bitsweep watch ",
                               response.sweep(),
                               "; its tables: bitsweep tables ",
                               response.sweep()));
    WarnWithoutWorkers(context, *client);
  }
  return ExitCode::kOk;
}

}  // namespace

void AddSubmit(CLI::App& app, VerbRun& chosen) {
  auto options = std::make_shared<SubmitOptions>();
  CLI::App* verb = app.add_subcommand("submit", "Check a sweep file and start it");
  verb->add_option("FILE", options->file, "The sweep file, YAML or JSON")
      ->type_name("")
      ->required();
  verb->add_flag("--watch", options->watch, "Follow it until it ends");
  verb->add_option("--name", options->name, "Instead of the file's name")->type_name("NAME");
  verb->add_option("--priority", options->priority, "Higher runs first")
      ->type_name("N")
      ->capture_default_str();
  verb->add_option("--set", options->settings, "Set a variable of the sweep file; repeatable")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  verb->callback([options, &chosen] {
    chosen = [options](Context& context) { return RunSubmit(*options, context); };
  });
}

}  // namespace bitsweep::cli
