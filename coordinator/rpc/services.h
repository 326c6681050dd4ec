// The four gRPC services and the status mapping; private to this room.
#pragma once

#include <atomic>
#include <string>

#include <absl/status/status.h>
#include <grpcpp/grpcpp.h>

#include "bitsweep/v1/artifacts.grpc.pb.h"
#include "bitsweep/v1/results.grpc.pb.h"
#include "bitsweep/v1/sweeps.grpc.pb.h"
#include "bitsweep/v1/worker.grpc.pb.h"
#include "coordinator/rpc/backend.h"

namespace bitsweep {

/// absl's codes are gRPC's codes by number.
inline grpc::Status ToGrpc(const absl::Status& status) {
  return status.ok() ? grpc::Status::OK
                     : grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()));
}

class WorkerSessionsService final : public v1::WorkerSessions::Service {
 public:
  explicit WorkerSessionsService(SessionBackend& backend) : backend_(backend) {}
  grpc::Status Session(grpc::ServerContext* context,
                       grpc::ServerReaderWriter<v1::CoordinatorMessage, v1::WorkerMessage>* stream) override;

 private:
  SessionBackend& backend_;
};

class ArtifactsService final : public v1::Artifacts::Service {
 public:
  explicit ArtifactsService(BlobBackend& backend) : backend_(backend) {}
  grpc::Status Missing(grpc::ServerContext*, const v1::MissingRequest* request, v1::MissingResponse* response) override;
  grpc::Status Upload(grpc::ServerContext*, grpc::ServerReader<v1::UploadPiece>* reader, v1::UploadResponse*) override;
  grpc::Status Download(grpc::ServerContext*,
                        const v1::DownloadRequest* request,
                        grpc::ServerWriter<v1::DownloadPiece>* writer) override;

 private:
  BlobBackend& backend_;
};

class SweepsService final : public v1::Sweeps::Service {
 public:
  SweepsService(SweepBackend& backend, const std::atomic<bool>& stopping) : backend_(backend), stopping_(stopping) {}
  grpc::Status Plan(grpc::ServerContext*, const v1::PlanRequest*, v1::PlanResponse*) override;
  grpc::Status Submit(grpc::ServerContext*, const v1::SubmitRequest*, v1::SubmitResponse*) override;
  grpc::Status List(grpc::ServerContext*, const v1::ListSweepsRequest*, v1::ListSweepsResponse*) override;
  grpc::Status Get(grpc::ServerContext*, const v1::GetSweepRequest*, v1::SweepStatus*) override;
  grpc::Status Watch(grpc::ServerContext*, const v1::GetSweepRequest*, grpc::ServerWriter<v1::SweepStatus>*) override;
  grpc::Status Cancel(grpc::ServerContext*, const v1::SweepActionRequest*, v1::SweepActionResponse*) override;
  grpc::Status Pause(grpc::ServerContext*, const v1::SweepActionRequest*, v1::SweepActionResponse*) override;
  grpc::Status Resume(grpc::ServerContext*, const v1::SweepActionRequest*, v1::SweepActionResponse*) override;
  grpc::Status Retry(grpc::ServerContext*, const v1::SweepActionRequest*, v1::SweepActionResponse*) override;
  grpc::Status Explain(grpc::ServerContext*, const v1::ExplainRequest*, v1::ExplainResponse*) override;
  grpc::Status Logs(grpc::ServerContext*, const v1::LogsRequest*, v1::LogsResponse*) override;
  grpc::Status Workers(grpc::ServerContext*, const v1::WorkersRequest*, v1::WorkersResponse*) override;
  grpc::Status Version(grpc::ServerContext*, const v1::VersionRequest*, v1::VersionResponse*) override;

 private:
  grpc::Status Act(SweepAction action, const v1::SweepActionRequest* request, v1::SweepActionResponse* response);
  SweepBackend& backend_;
  const std::atomic<bool>& stopping_;
};

class ResultsService final : public v1::Results::Service {
 public:
  explicit ResultsService(ResultBackend& backend) : backend_(backend) {}
  grpc::Status Table(grpc::ServerContext*, const v1::TableRequest*, v1::TableResponse*) override;
  grpc::Status Cells(grpc::ServerContext*, const v1::CellsRequest*, v1::CellsResponse*) override;
  grpc::Status Import(grpc::ServerContext*, const v1::ImportRequest*, v1::ImportResponse*) override;
  grpc::Status Stats(grpc::ServerContext*, const v1::StatsRequest*, v1::StatsResponse*) override;
  grpc::Status Compare(grpc::ServerContext*, const v1::CompareRequest*, v1::CompareResponse*) override;
  grpc::Status Outcomes(grpc::ServerContext*,
                        const v1::OutcomesRequest*,
                        grpc::ServerWriter<v1::CellOutcomes>*) override;
  grpc::Status Record(grpc::ServerContext*,
                      const v1::RecordRequest*,
                      grpc::ServerWriter<v1::RecordPart>*) override;

 private:
  ResultBackend& backend_;
};

}  // namespace bitsweep
