// bitsweep workers: who is connected and what they do.
#include <memory>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include "cli/client.h"
#include "cli/render/json.h"
#include "cli/render/sweep_view.h"
#include "cli/render/table.h"
#include "cli/render/text.h"
#include "cli/verb.h"

#include "proto/base/status_macros.h"

namespace bitsweep::cli {
namespace {

// A connected worker speaks every few seconds: counting them would only make the table restless.
constexpr absl::Duration kJustNow = absl::Seconds(10);

void PrintWorkers(const v1::WorkersResponse& response, Context& context) {
  Table table({{"worker", Align::kLeft, 1},
               {"state"},
               {"busy", Align::kRight},
               {"cores", Align::kRight},
               {"gpus", Align::kLeft, 2},
               {"stages", Align::kLeft, 3},
               {"isolation"},
               {"seen", Align::kRight}});
  for (const v1::WorkerStatus& worker : response.workers()) {
    const absl::Duration ago = context.Now() - absl::FromUnixMicros(worker.last_seen_us());
    table.AddRow({Line(worker.name()),
                  Line(worker.state(), StyleOfState(worker.state())),
                  absl::StrCat(worker.running_size(), "/", worker.slots()),
                  absl::StrCat(worker.cores()),
                  worker.gpus().empty() ? Line("none", Style::kDim)
                                        : Line(absl::StrJoin(worker.gpus(), ", ")),
                  Line(absl::StrJoin(worker.stages(), " ")),
                  Line(worker.isolation()),
                  Line(worker.last_seen_us() <= 0 ? "-"
                       : ago < kJustNow           ? "now"
                                                  : FormatSpan(ago))});
  }
  context.Print(table.Render(context.terminal()));
}

absl::StatusOr<ExitCode> RunWorkers(Context& context) {
  BITSWEEP_ASSIGN_OR_RETURN(Client * client, context.client());
  BITSWEEP_ASSIGN_OR_RETURN(
      const v1::WorkersResponse response,
      client->Call(client->sweeps(), &v1::Sweeps::Stub::Workers, v1::WorkersRequest()));
  if (context.json()) {
    context.PrintJson(ToJson(response));
  } else if (response.workers().empty()) {
    context.Print("No workers are connected. Start one on a machine that has the models:");
    context.Print(absl::StrCat("  bitsweep-worker --server ",
                               client->address().text(),
                               " --cache-dir DIR --model-root DIR"));
  } else {
    PrintWorkers(response, context);
  }
  return ExitCode::kOk;
}

}  // namespace

void AddWorkers(CLI::App& app, VerbRun& chosen) {
  CLI::App* verb = app.add_subcommand("workers", "List the workers and what they do");
  verb->callback([&chosen] { chosen = RunWorkers; });
}

}  // namespace bitsweep::cli
