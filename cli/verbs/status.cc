// bitsweep status [SWEEP]: one sweep's state now, or the list of all.
#include <algorithm>
#include <memory>

#include <absl/strings/str_cat.h>

#include "cli/client.h"
#include "cli/render/json.h"
#include "cli/render/sweep_view.h"
#include "cli/render/table.h"
#include "cli/render/text.h"
#include "cli/verb.h"

#include "proto/base/status_macros.h"

namespace bitsweep::cli {
namespace {

absl::StatusOr<ExitCode> ListSweeps(Context& context) {
  BITSWEEP_ASSIGN_OR_RETURN(Client * client, context.client());
  BITSWEEP_ASSIGN_OR_RETURN(
      const v1::ListSweepsResponse response,
      client->Call(client->sweeps(), &v1::Sweeps::Stub::List, v1::ListSweepsRequest()));
  if (context.json()) {
    context.PrintJson(ToJson(response));
    return ExitCode::kOk;
  }
  if (response.sweeps().empty()) {
    context.Print(
        "No sweeps yet. Look at one with `bitsweep plan FILE`, start it with `bitsweep submit FILE "
        "--watch`.");
    return ExitCode::kOk;
  }
  Table table({{"sweep", Align::kRight},
               {"name", Align::kLeft, 1},
               {"state"},
               {"cells", Align::kRight},
               {"submitted"},
               {"took", Align::kRight}});
  for (const v1::SweepSummary& sweep : response.sweeps()) {
    const absl::Time end =
        sweep.ended_us() > 0 ? absl::FromUnixMicros(sweep.ended_us()) : context.Now();
    table.AddRow({absl::StrCat(sweep.sweep()),
                  Line(sweep.name()),
                  Line(sweep.state(), StyleOfState(sweep.state())),
                  absl::StrCat(sweep.cells_done(), "/", sweep.cells()),
                  Line(FormatMoment(sweep.created_us())),
                  Line(FormatSpan(end - absl::FromUnixMicros(sweep.created_us())))});
  }
  context.Print(table.Render(context.terminal()));
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> ShowSweep(const std::string& sweep, Context& context) {
  BITSWEEP_ASSIGN_OR_RETURN(Client * client, context.client());
  v1::GetSweepRequest request;
  request.set_sweep(sweep);
  BITSWEEP_ASSIGN_OR_RETURN(const v1::SweepStatus status,
                            client->Call(client->sweeps(), &v1::Sweeps::Stub::Get, request));
  if (context.json()) {
    context.PrintJson(ToJson(status));
  } else {
    context.Print(SweepView(status, context.terminal(), context.Now()));
  }
  return ExitCode::kOk;
}

}  // namespace

void AddStatus(CLI::App& app, VerbRun& chosen) {
  auto sweep = std::make_shared<std::string>();
  CLI::App* verb = app.add_subcommand("status", "Show a sweep's state, or list all sweeps");
  verb->add_option("SWEEP", *sweep, "A sweep's number, its name, or latest; none: every sweep")
      ->type_name("");
  verb->callback([sweep, &chosen] {
    chosen = [sweep](Context& context) {
      return sweep->empty() ? ListSweeps(context) : ShowSweep(*sweep, context);
    };
  });
}

}  // namespace bitsweep::cli
