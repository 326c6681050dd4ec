#include <algorithm>

#include <absl/strings/str_cat.h>

#include "coordinator/rpc/encode.h"
#include "coordinator/rpc/services.h"
#include "proto/base/names.h"

namespace bitsweep {
namespace {

// A row is under 100 bytes, and a message must stay below gRPC's 4 MiB.
constexpr std::size_t kOutcomesPerMessage = 20'000;

}  // namespace

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

grpc::Status ResultsService::Import(grpc::ServerContext*,
                                    const v1::ImportRequest* request,
                                    v1::ImportResponse* response) {
  if (request->request_id().empty()) {
    return {grpc::StatusCode::INVALID_ARGUMENT, "request_id is empty; it makes a repeated import safe"};
  }
  if (!IsHexDigest(request->sha256())) {
    return {grpc::StatusCode::INVALID_ARGUMENT,
            absl::StrCat("sha256 is \"", request->sha256(), "\"; 64 lower-case hexadecimal digits are wanted")};
  }
  const absl::StatusOr<ImportReceipt> receipt =
      backend_.Import({request->request_id(),
                       request->name(),
                       request->user(),
                       request->file_name(),
                       Digest(request->sha256()),
                       {request->maps().begin(), request->maps().end()},
                       {request->defaults().begin(), request->defaults().end()}});
  if (!receipt.ok()) {
    return ToGrpc(receipt.status());
  }
  response->set_sweep(receipt->sweep.sweep.value());
  response->set_name(receipt->sweep.name);
  response->set_existed(receipt->sweep.existed);
  response->set_cells(receipt->sweep.cells);
  response->set_rows(receipt->rows);
  for (const std::string& question : receipt->questions) {
    response->add_questions(question);
  }
  for (const std::string& note : receipt->notes) {
    response->add_notes(note);
  }
  return grpc::Status::OK;
}

grpc::Status ResultsService::Stats(grpc::ServerContext*,
                                   const v1::StatsRequest* request,
                                   v1::StatsResponse* response) {
  absl::StatusOr<std::vector<RenderedStats>> stats =
      backend_.Stats({request->sweep(),
                      request->question(),
                      request->benchmark(),
                      request->format().empty() ? "text" : request->format(),
                      request->seed(),
                      request->permutations(),
                      request->resamples()});
  if (!stats.ok()) {
    return ToGrpc(stats.status());
  }
  for (RenderedStats& question : *stats) {
    v1::QuestionStats* out = response->add_questions();
    out->set_question(std::move(question.question));
    out->set_kind(std::move(question.kind));
    out->set_text(std::move(question.text));
  }
  return grpc::Status::OK;
}

grpc::Status ResultsService::Compare(grpc::ServerContext*,
                                     const v1::CompareRequest* request,
                                     v1::CompareResponse* response) {
  absl::StatusOr<std::string> text =
      backend_.Compare(request->sweep(), request->with(), request->format().empty() ? "text" : request->format());
  if (!text.ok()) {
    return ToGrpc(text.status());
  }
  response->set_text(*std::move(text));
  return grpc::Status::OK;
}

grpc::Status ResultsService::Outcomes(grpc::ServerContext*,
                                      const v1::OutcomesRequest* request,
                                      grpc::ServerWriter<v1::CellOutcomes>* writer) {
  return ToGrpc(backend_.Outcomes(request->sweep(), [&](const CellSamples& samples) {
    for (std::size_t begin = 0; begin < samples.verdicts.size(); begin += kOutcomesPerMessage) {
      v1::CellOutcomes piece;
      *piece.mutable_cell() = Encode(samples.cell);
      const std::size_t end = std::min(begin + kOutcomesPerMessage, samples.verdicts.size());
      for (std::size_t i = begin; i < end; ++i) {
        const VerdictRow& row = samples.verdicts[i];
        v1::Outcome* out = piece.add_outcomes();
        out->set_problem(row.problem);
        out->set_sample(row.sample);
        out->set_passed(row.passed);
        out->set_verdict(row.verdict);
      }
      if (!writer->Write(piece)) {
        return false;
      }
    }
    return true;
  }));
}

grpc::Status ResultsService::Record(grpc::ServerContext*,
                                    const v1::RecordRequest* request,
                                    grpc::ServerWriter<v1::RecordPart>* writer) {
  const absl::StatusOr<SweepRecord> record = backend_.Record(request->sweep());
  if (!record.ok()) {
    return ToGrpc(record.status());
  }
  v1::RecordPart part;
  *part.mutable_sweep() = Encode(*record);
  bool open = writer->Write(part);
  for (std::size_t i = 0; open && i < record->stages.size(); ++i) {
    v1::RecordPart stage;
    *stage.mutable_stage() = Encode(record->stages[i]);
    open = writer->Write(stage);
  }
  return open ? grpc::Status::OK : grpc::Status(grpc::StatusCode::CANCELLED, "the reader went away");
}

}  // namespace bitsweep
