#include "coordinator/app/web_routes.h"

#include <nlohmann/json.hpp>

#include "bitsweep_generated/build_id.h"
#include "bitsweep_generated/page.h"
#include "coordinator/rpc/encode.h"

namespace bitsweep {
namespace {

using nlohmann::json;

constexpr const char* kJson = "application/json; charset=utf-8";
constexpr std::string_view kSweepsPrefix = "/api/sweeps/";

HttpResponse ErrorResponse(const absl::Status& status) {
  const int code = absl::IsNotFound(status) ? 404 : absl::IsInvalidArgument(status) ? 400 : 500;
  return {code, kJson, json{{"error", status.message()}}.dump()};
}

HttpResponse TablesResponse(Coordinator& coordinator, const std::string& sweep) {
  const absl::StatusOr<std::vector<RenderedTable>> tables = coordinator.Tables(sweep, "", "", "markdown", {});
  if (!tables.ok()) {
    return ErrorResponse(tables.status());
  }
  json out = json::array();
  for (const RenderedTable& table : *tables) {
    out.push_back({{"question", table.question},
                   {"kind", table.kind},
                   {"benchmark", table.benchmark},
                   {"text", table.text}});
  }
  return {200, kJson, out.dump()};
}

HttpResponse SweepResponse(Coordinator& coordinator, std::string sweep) {
  constexpr std::string_view kTables = "/tables";
  if (sweep.ends_with(kTables)) {
    return TablesResponse(coordinator, sweep.substr(0, sweep.size() - kTables.size()));
  }
  const absl::StatusOr<SweepView> view = coordinator.GetSweep(sweep);
  return view.ok() ? HttpResponse{200, kJson, SweepStatusJson(*view)} : ErrorResponse(view.status());
}

}  // namespace

HttpHandler MakeRoutes(Coordinator& coordinator) {
  return [&coordinator](const std::string& path) -> HttpResponse {
    if (path == "/metrics") {
      return {200, "text/plain; version=0.0.4; charset=utf-8", coordinator.Metrics()};
    }
    if (path == "/healthz") {
      // Through the strand: a coordinator whose database hangs is not healthy.
      coordinator.AwaitChange(0, absl::ZeroDuration());
      const std::size_t workers = coordinator.Workers().size();
      return {200, kJson, json{{"status", "ok"}, {"version", kVersion}, {"build", kBuildId}, {"workers", workers}}.dump()};
    }
    if (path == "/api/sweeps") {
      const absl::StatusOr<std::vector<SweepSummary>> sweeps = coordinator.ListSweeps();
      return sweeps.ok() ? HttpResponse{200, kJson, SweepSummariesJson(*sweeps)} : ErrorResponse(sweeps.status());
    }
    if (path.starts_with(kSweepsPrefix)) {
      return SweepResponse(coordinator, path.substr(kSweepsPrefix.size()));
    }
    for (const PageFile& file : kPageFiles) {
      if (path == file.path || (path == "/" && file.path == "/index.html")) {
        return {200, std::string(file.content_type), std::string(file.bytes)};
      }
    }
    return {404, "text/plain; charset=utf-8", "no such page; / is the overview, /metrics the metrics\n"};
  };
}

}  // namespace bitsweep
