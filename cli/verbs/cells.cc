// bitsweep cells [SWEEP]: every cell with its state and its figures.
#include <memory>
#include <set>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>

#include "cli/client.h"
#include "cli/render/json.h"
#include "cli/render/sweep_view.h"
#include "cli/render/table.h"
#include "cli/render/text.h"
#include "cli/verb.h"

#include "proto/base/status_macros.h"

namespace bitsweep::cli {
namespace {

struct CellsOptions {
  std::string sweep = "latest";
  std::string state;
};

// "<precision>[-<calibration>][-<finetune>]": how the study speaks of a variant.
std::string Variant(const v1::Cell& cell) {
  return absl::StrCat(cell.precision(),
                      cell.calibration() == "none" ? "" : absl::StrCat("-", cell.calibration()),
                      cell.finetuned() == "none" ? "" : absl::StrCat("-", cell.finetuned()));
}

// A figure that is not there yet.
Line Unknown() {
  return Line("-", Style::kDim);
}

void PrintCells(const v1::CellsResponse& response, Context& context) {
  std::set<std::int64_t> seeds;
  for (const v1::Cell& cell : response.cells()) {
    seeds.insert(cell.seed());
  }
  std::vector<Column> columns = {{"model", Align::kLeft, 1},
                                 {"variant", Align::kLeft, 1},
                                 {"benchmark", Align::kLeft, 1},
                                 {"language"},
                                 {"pass@1", Align::kRight},
                                 {"size", Align::kRight},
                                 {"bits", Align::kRight},
                                 {"state"}};
  const bool seeded = seeds.size() > 1;
  if (seeded) {
    columns.insert(columns.begin() + 4, {"seed", Align::kRight});
  }
  Table table(columns);
  for (const v1::Cell& cell : response.cells()) {
    std::vector<Line> row = {
        Line(cell.model()),
        Line(Variant(cell)),
        Line(cell.benchmark()),
        Line(cell.language()),
        cell.has_result() ? Line(absl::StrFormat("%.1f%%", cell.pass_at_1() * 100)) : Unknown(),
        cell.size_bytes() > 0 ? Line(FormatBytes(cell.size_bytes())) : Unknown(),
        cell.effective_bits() > 0 ? Line(absl::StrFormat("%.2f", cell.effective_bits()))
                                  : Unknown(),
        Line(cell.state(), StyleOfState(cell.state()))};
    if (seeded) {
      row.insert(row.begin() + 4, absl::StrCat(cell.seed()));
    }
    table.AddRow(std::move(row));
  }
  context.Print(table.Render(context.terminal()));
}

absl::StatusOr<ExitCode> RunCells(const CellsOptions& options, Context& context) {
  BITSWEEP_ASSIGN_OR_RETURN(Client * client, context.client());
  v1::CellsRequest request;
  request.set_sweep(options.sweep);
  BITSWEEP_ASSIGN_OR_RETURN(
      v1::CellsResponse response,
      client->Call(client->results(), &v1::Results::Stub::Cells, request, kLongCallTimeout));
  if (!options.state.empty()) {
    v1::CellsResponse kept;
    for (const v1::Cell& cell : response.cells()) {
      if (cell.state() == options.state) {
        *kept.add_cells() = cell;
      }
    }
    response = std::move(kept);
  }
  if (context.json()) {
    context.PrintJson(ToJson(response));
  } else if (response.cells().empty()) {
    context.Print(options.state.empty()
                      ? std::string("This sweep has no cells.")
                      : absl::StrCat("No cell of this sweep is ", options.state, "."));
  } else {
    PrintCells(response, context);
  }
  return ExitCode::kOk;
}

}  // namespace

void AddCells(CLI::App& app, VerbRun& chosen) {
  auto options = std::make_shared<CellsOptions>();
  CLI::App* verb = app.add_subcommand("cells", "List a sweep's cells with their state and pass@1");
  AddSweepArgument(*verb, options->sweep);
  verb->add_option("--state", options->state, "Only cells of this state")
      ->type_name("STATE")
      ->check(CLI::IsMember({"pending", "running", "succeeded", "failed", "cancelled"})
                  .description(""));
  verb->callback([options, &chosen] {
    chosen = [options](Context& context) { return RunCells(*options, context); };
  });
}

}  // namespace bitsweep::cli
