#include "tests/cli/fake_coordinator.h"

#include <chrono>

#include "proto/base/digest.h"
#include "proto/base/status_macros.h"

namespace bitsweep::cli {

void FakeCoordinator::Start() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = false;
  }
  grpc::ServerBuilder builder;
  int bound = 0;
  builder.AddListeningPort(
      "127.0.0.1:" + std::to_string(port_), grpc::InsecureServerCredentials(), &bound);
  builder.RegisterService(static_cast<v1::Sweeps::Service*>(this));
  builder.RegisterService(static_cast<v1::Results::Service*>(this));
  builder.RegisterService(static_cast<v1::Artifacts::Service*>(this));
  server_ = builder.BuildAndStart();
  BITSWEEP_CHECK(server_ != nullptr) << "no server on port " << port_;
  port_ = bound;
}

void FakeCoordinator::Stop() {
  if (server_ == nullptr) {
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
  server_.reset();
}

void FakeCoordinator::Publish(const v1::SweepStatus& new_status, bool last) {
  {
    const std::lock_guard lock(mutex_);
    published_.push_back(new_status);
    ended_ = last;
  }
  changed_.notify_all();
}

void FakeCoordinator::AwaitWatchers(int count) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return static_cast<int>(watched.size()) >= count; });
}

grpc::Status FakeCoordinator::Note(const std::string& call) {
  const std::lock_guard lock(mutex_);
  calls.push_back(call);
  return refuse;
}

grpc::Status FakeCoordinator::Plan(Context*,
                                   const v1::PlanRequest* request,
                                   v1::PlanResponse* response) {
  response->set_plan_json(plan_json);
  return Note("Plan " + request->source().file_name());
}

grpc::Status FakeCoordinator::Submit(Context*,
                                     const v1::SubmitRequest* request,
                                     v1::SubmitResponse* response) {
  const grpc::Status answer = Note("Submit");
  if (!answer.ok()) {
    return answer;
  }
  const std::lock_guard lock(mutex_);
  submits.push_back(*request);
  const auto next = static_cast<std::int64_t>(sweep_by_request_.size()) + 1;
  const auto [entry, inserted] = sweep_by_request_.emplace(request->request_id(), next);
  if (submit_failures > 0) {
    --submit_failures;
    return {grpc::StatusCode::UNAVAILABLE, "Socket closed"};
  }
  response->set_sweep(entry->second);
  response->set_name(request->name().empty() ? "demo" : request->name());
  response->set_existed(!inserted);
  response->set_cells(4);
  response->set_stages(1);
  return grpc::Status::OK;
}

grpc::Status FakeCoordinator::List(Context*,
                                   const v1::ListSweepsRequest*,
                                   v1::ListSweepsResponse* response) {
  *response = sweeps;
  return Note("List");
}

grpc::Status FakeCoordinator::Get(Context*,
                                  const v1::GetSweepRequest* request,
                                  v1::SweepStatus* response) {
  *response = status;
  return Note("Get " + request->sweep());
}

grpc::Status FakeCoordinator::Watch(Context* context,
                                    const v1::GetSweepRequest* request,
                                    grpc::ServerWriter<v1::SweepStatus>* writer) {
  if (const grpc::Status answer = Note("Watch " + request->sweep()); !answer.ok()) {
    return answer;
  }
  std::unique_lock lock(mutex_);
  watched.push_back(request->sweep());
  changed_.notify_all();
  // A new watcher is told the newest state at once, as the coordinator does.
  std::size_t next = published_.empty() ? 0 : published_.size() - 1;
  while (true) {
    // The wait is bounded because a client that goes away does not notify.
    changed_.wait_for(lock, std::chrono::milliseconds(50), [&] {
      return stopping_ || next < published_.size() || context->IsCancelled();
    });
    if (stopping_ || context->IsCancelled()) {
      return {grpc::StatusCode::UNAVAILABLE, "the coordinator stops"};
    }
    for (; next < published_.size(); ++next) {
      writer->Write(published_[next]);
    }
    if (ended_) {
      return grpc::Status::OK;
    }
  }
}

grpc::Status FakeCoordinator::Act(const std::string& verb,
                                  const v1::SweepActionRequest& request,
                                  v1::SweepActionResponse* response) {
  response->set_sweep(3);
  response->set_name("demo");
  response->set_stages(5);
  return Note(verb + " " + request.sweep() +
              (request.reason().empty() ? "" : " because " + request.reason()));
}

grpc::Status FakeCoordinator::Cancel(Context*,
                                     const v1::SweepActionRequest* request,
                                     v1::SweepActionResponse* response) {
  return Act("Cancel", *request, response);
}
grpc::Status FakeCoordinator::Pause(Context*,
                                    const v1::SweepActionRequest* request,
                                    v1::SweepActionResponse* response) {
  return Act("Pause", *request, response);
}
grpc::Status FakeCoordinator::Resume(Context*,
                                     const v1::SweepActionRequest* request,
                                     v1::SweepActionResponse* response) {
  return Act("Resume", *request, response);
}
grpc::Status FakeCoordinator::Retry(Context*,
                                    const v1::SweepActionRequest* request,
                                    v1::SweepActionResponse* response) {
  return Act("Retry", *request, response);
}

grpc::Status FakeCoordinator::Explain(Context*,
                                      const v1::ExplainRequest* request,
                                      v1::ExplainResponse* response) {
  *response = explanation;
  return Note("Explain " + request->stage());
}

grpc::Status FakeCoordinator::Logs(Context*,
                                   const v1::LogsRequest* request,
                                   v1::LogsResponse* response) {
  *response = logs;
  return Note("Logs " + request->stage() + " " + std::to_string(request->attempt()));
}

grpc::Status FakeCoordinator::Workers(Context*,
                                      const v1::WorkersRequest*,
                                      v1::WorkersResponse* response) {
  *response = workers;
  return Note("Workers");
}

grpc::Status FakeCoordinator::Version(Context*,
                                      const v1::VersionRequest*,
                                      v1::VersionResponse* response) {
  response->set_version("9.9.9");
  response->set_build("fake");
  (*response->mutable_semantics())["quantize"] = 1;
  return Note("Version");
}

grpc::Status FakeCoordinator::Table(Context*,
                                    const v1::TableRequest* request,
                                    v1::TableResponse* response) {
  *response = tables;
  return Note("Table " + request->sweep() + "/" + request->question() + "/" + request->benchmark() +
              "/" + request->format());
}

grpc::Status FakeCoordinator::Cells(Context*,
                                    const v1::CellsRequest* request,
                                    v1::CellsResponse* response) {
  *response = cells;
  return Note("Cells " + request->sweep());
}

grpc::Status FakeCoordinator::Import(Context*,
                                     const v1::ImportRequest* request,
                                     v1::ImportResponse* response) {
  const grpc::Status answer = Note("Import");
  if (!answer.ok()) {
    return answer;
  }
  const std::lock_guard lock(mutex_);
  imports.push_back(*request);
  response->set_sweep(5);
  response->set_name(request->name());
  response->set_cells(2);
  response->set_rows(4);
  response->add_questions("rq1");
  return grpc::Status::OK;
}

grpc::Status FakeCoordinator::Stats(Context*,
                                    const v1::StatsRequest* request,
                                    v1::StatsResponse* response) {
  *response = stats;
  return Note("Stats " + request->sweep() + "/" + request->question() + "/" +
              request->benchmark() + "/" + request->format() + "/" +
              std::to_string(request->seed()) + "/" + std::to_string(request->permutations()) +
              "/" + std::to_string(request->resamples()));
}

grpc::Status FakeCoordinator::Compare(Context*,
                                      const v1::CompareRequest* request,
                                      v1::CompareResponse* response) {
  response->set_text("beside\n");
  return Note("Compare " + request->sweep() + " " + request->with() + " " + request->format());
}

grpc::Status FakeCoordinator::Outcomes(Context*,
                                       const v1::OutcomesRequest* request,
                                       grpc::ServerWriter<v1::CellOutcomes>* writer) {
  for (const v1::CellOutcomes& piece : outcomes) {
    writer->Write(piece);
  }
  return Note("Outcomes " + request->sweep());
}

grpc::Status FakeCoordinator::Record(Context*,
                                     const v1::RecordRequest* request,
                                     grpc::ServerWriter<v1::RecordPart>* writer) {
  v1::RecordPart part;
  *part.mutable_sweep() = record;
  writer->Write(part);
  for (const v1::StageRecord& stage : stages) {
    v1::RecordPart next;
    *next.mutable_stage() = stage;
    writer->Write(next);
  }
  return Note("Record " + request->sweep());
}

grpc::Status FakeCoordinator::Missing(Context*,
                                      const v1::MissingRequest* request,
                                      v1::MissingResponse* response) {
  const std::lock_guard lock(mutex_);
  for (const std::string& digest : request->sha256()) {
    if (!blobs.contains(digest)) {
      response->add_sha256(digest);
    }
  }
  return grpc::Status::OK;
}

grpc::Status FakeCoordinator::Upload(Context*,
                                     grpc::ServerReader<v1::UploadPiece>* reader,
                                     v1::UploadResponse*) {
  v1::UploadPiece piece;
  std::string digest;
  std::string bytes;
  std::int64_t size = -1;
  while (reader->Read(&piece)) {
    digest = digest.empty() ? piece.sha256() : digest;
    size = size < 0 ? piece.size() : size;
    bytes += piece.data();
  }
  if (Sha256Hex(bytes) != digest || static_cast<std::int64_t>(bytes.size()) != size) {
    return {grpc::StatusCode::INVALID_ARGUMENT, "the bytes are not those of " + digest};
  }
  const std::lock_guard lock(mutex_);
  blobs[digest] = bytes;
  return grpc::Status::OK;
}

}  // namespace bitsweep::cli
