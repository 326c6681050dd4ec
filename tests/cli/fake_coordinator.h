// A coordinator of a few lines behind a real gRPC server on a loopback port: tests set what it
// answers and look at what it was asked. It can be stopped and started again on the same port.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "bitsweep/v1/artifacts.grpc.pb.h"
#include "bitsweep/v1/results.grpc.pb.h"
#include "bitsweep/v1/sweeps.grpc.pb.h"

namespace bitsweep::cli {

class FakeCoordinator : public v1::Sweeps::Service,
                        public v1::Results::Service,
                        public v1::Artifacts::Service {
 public:
  FakeCoordinator() { Start(); }
  ~FakeCoordinator() override { Stop(); }

  void Start();
  void Stop();
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  /// Appends a status to the stream of Watch; `last` ends it.
  void Publish(const v1::SweepStatus& status, bool last = false);
  /// Waits until `count` Watch calls have begun.
  void AwaitWatchers(int count);

  // What it answers. Set before the call that reads it.
  grpc::Status refuse = grpc::Status::OK;  // When not OK, every call of Sweeps and Results ends so.
  int submit_failures = 0;  // So many Submits are carried out, but their answer is lost.
  v1::ListSweepsResponse sweeps;
  v1::SweepStatus status;
  v1::WorkersResponse workers;
  v1::TableResponse tables;
  v1::CellsResponse cells;
  v1::ExplainResponse explanation;
  v1::LogsResponse logs;
  std::string plan_json = R"({"cached": 7})";
  v1::StatsResponse stats;
  v1::SweepRecord record;
  std::vector<v1::StageRecord> stages;
  std::vector<v1::CellOutcomes> outcomes;

  // What it was asked.
  std::vector<std::string> calls;  // "Cancel demo"
  std::vector<v1::SubmitRequest> submits;
  std::vector<v1::ImportRequest> imports;
  std::map<std::string, std::string> blobs;
  std::vector<std::string> watched;

 private:
  using Context = grpc::ServerContext;
  grpc::Status Note(const std::string& call);

  grpc::Status Plan(Context*, const v1::PlanRequest*, v1::PlanResponse*) override;
  grpc::Status Submit(Context*, const v1::SubmitRequest*, v1::SubmitResponse*) override;
  grpc::Status List(Context*, const v1::ListSweepsRequest*, v1::ListSweepsResponse*) override;
  grpc::Status Get(Context*, const v1::GetSweepRequest*, v1::SweepStatus*) override;
  grpc::Status Watch(Context*,
                     const v1::GetSweepRequest*,
                     grpc::ServerWriter<v1::SweepStatus>*) override;
  grpc::Status Cancel(Context*, const v1::SweepActionRequest*, v1::SweepActionResponse*) override;
  grpc::Status Pause(Context*, const v1::SweepActionRequest*, v1::SweepActionResponse*) override;
  grpc::Status Resume(Context*, const v1::SweepActionRequest*, v1::SweepActionResponse*) override;
  grpc::Status Retry(Context*, const v1::SweepActionRequest*, v1::SweepActionResponse*) override;
  grpc::Status Explain(Context*, const v1::ExplainRequest*, v1::ExplainResponse*) override;
  grpc::Status Logs(Context*, const v1::LogsRequest*, v1::LogsResponse*) override;
  grpc::Status Workers(Context*, const v1::WorkersRequest*, v1::WorkersResponse*) override;
  grpc::Status Version(Context*, const v1::VersionRequest*, v1::VersionResponse*) override;
  grpc::Status Table(Context*, const v1::TableRequest*, v1::TableResponse*) override;
  grpc::Status Cells(Context*, const v1::CellsRequest*, v1::CellsResponse*) override;
  grpc::Status Import(Context*, const v1::ImportRequest*, v1::ImportResponse*) override;
  grpc::Status Stats(Context*, const v1::StatsRequest*, v1::StatsResponse*) override;
  grpc::Status Compare(Context*, const v1::CompareRequest*, v1::CompareResponse*) override;
  grpc::Status Outcomes(Context*,
                        const v1::OutcomesRequest*,
                        grpc::ServerWriter<v1::CellOutcomes>*) override;
  grpc::Status Record(Context*,
                      const v1::RecordRequest*,
                      grpc::ServerWriter<v1::RecordPart>*) override;
  grpc::Status Missing(Context*, const v1::MissingRequest*, v1::MissingResponse*) override;
  grpc::Status Upload(Context*, grpc::ServerReader<v1::UploadPiece>*, v1::UploadResponse*) override;

  grpc::Status Act(const std::string& verb,
                   const v1::SweepActionRequest&,
                   v1::SweepActionResponse*);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<v1::SweepStatus> published_;
  bool ended_ = false;
  bool stopping_ = false;
  std::map<std::string, std::int64_t> sweep_by_request_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace bitsweep::cli
