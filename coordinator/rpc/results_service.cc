#include "coordinator/rpc/encode.h"
#include "coordinator/rpc/services.h"

namespace bitsweep {

grpc::Status ResultsService::Table(grpc::ServerContext*, const v1::TableRequest* request, v1::TableResponse* response) {
  absl::StatusOr<std::vector<RenderedTable>> tables =
      backend_.Tables(request->sweep(), request->question(), request->benchmark(),
                      request->format(),
                      {.intervals = request->options().intervals(), .rounded = request->options().rounded()});
  if (!tables.ok()) {
    return ToGrpc(tables.status());
  }
  for (RenderedTable& table : *tables) {
    v1::Table* out = response->add_tables();
    out->set_question(std::move(table.question));
    out->set_kind(std::move(table.kind));
    out->set_benchmark(std::move(table.benchmark));
    out->set_text(std::move(table.text));
  }
  return grpc::Status::OK;
}

grpc::Status ResultsService::Cells(grpc::ServerContext*, const v1::CellsRequest* request, v1::CellsResponse* response) {
  const absl::StatusOr<std::vector<CellStatus>> cells = backend_.Cells(request->sweep());
  if (!cells.ok()) {
    return ToGrpc(cells.status());
  }
  for (const CellStatus& cell : *cells) {
    *response->add_cells() = Encode(cell);
  }
  return grpc::Status::OK;
}

}  // namespace bitsweep
