#include "bitsweep_generated/build_id.h"
#include "bitsweep_generated/semantics.h"
#include "coordinator/rpc/encode.h"
#include "coordinator/rpc/services.h"

namespace bitsweep {
namespace {

// A watcher sees a change within this time, and a burst of changes costs one message.
constexpr absl::Duration kWatchInterval = absl::Milliseconds(250);
// Without a change a status is still sent, because elapsed times and ETAs move, and a dead client shows itself on Write.
constexpr absl::Duration kWatchRefresh = absl::Seconds(1);

bool HasEnded(SweepState state) {
  return state == SweepState::kSucceeded || state == SweepState::kFailed || state == SweepState::kCancelled;
}

}  // namespace

grpc::Status SweepsService::Plan(grpc::ServerContext*, const v1::PlanRequest* request, v1::PlanResponse* response) {
  absl::StatusOr<SweepSource> source = Decode(request->source());
  if (!source.ok()) {
    return ToGrpc(source.status());
  }
  absl::StatusOr<std::string> plan = backend_.Plan(*source);
  if (!plan.ok()) {
    return ToGrpc(plan.status());
  }
  response->set_plan_json(*std::move(plan));
  return grpc::Status::OK;
}

grpc::Status SweepsService::Submit(grpc::ServerContext*, const v1::SubmitRequest* request, v1::SubmitResponse* response) {
  absl::StatusOr<SweepSource> source = Decode(request->source());
  if (!source.ok()) {
    return ToGrpc(source.status());
  }
  if (request->request_id().empty()) {
    return {grpc::StatusCode::INVALID_ARGUMENT, "request_id is empty; it makes a repeated submit safe"};
  }
  const absl::StatusOr<SubmitReceipt> receipt = backend_.Submit(
      {*std::move(source), request->request_id(), request->priority(), request->user(), request->name()});
  if (!receipt.ok()) {
    return ToGrpc(receipt.status());
  }
  response->set_sweep(receipt->sweep.value());
  response->set_name(receipt->name);
  response->set_existed(receipt->existed);
  response->set_cells(receipt->cells);
  response->set_stages(receipt->stages);
  response->set_cached(receipt->cached);
  return grpc::Status::OK;
}

grpc::Status SweepsService::List(grpc::ServerContext*, const v1::ListSweepsRequest*, v1::ListSweepsResponse* response) {
  const absl::StatusOr<std::vector<SweepSummary>> sweeps = backend_.ListSweeps();
  if (!sweeps.ok()) {
    return ToGrpc(sweeps.status());
  }
  for (const SweepSummary& sweep : *sweeps) {
    *response->add_sweeps() = Encode(sweep);
  }
  return grpc::Status::OK;
}

grpc::Status SweepsService::Get(grpc::ServerContext*, const v1::GetSweepRequest* request, v1::SweepStatus* response) {
  const absl::StatusOr<SweepView> view = backend_.GetSweep(request->sweep());
  if (!view.ok()) {
    return ToGrpc(view.status());
  }
  *response = Encode(*view);
  return grpc::Status::OK;
}

grpc::Status SweepsService::Watch(grpc::ServerContext* context,
                                  const v1::GetSweepRequest* request,
                                  grpc::ServerWriter<v1::SweepStatus>* writer) {
  std::string sweep = request->sweep();
  std::uint64_t version = 0;
  absl::Time sent = absl::InfinitePast();
  while (!context->IsCancelled() && !stopping_) {
    const std::uint64_t now_version = backend_.AwaitChange(version, kWatchInterval);
    const absl::Time now = absl::Now();
    if (now_version == version && now - sent < kWatchRefresh) {
      continue;
    }
    version = now_version;
    const absl::StatusOr<SweepView> view = backend_.GetSweep(sweep);
    if (!view.ok()) {
      return ToGrpc(view.status());
    }
    // "latest" or a name means the sweep that it meant when the watch began.
    sweep = std::to_string(view->summary.id.value());
    if (!writer->Write(Encode(*view)) || HasEnded(view->summary.state)) {
      return grpc::Status::OK;
    }
    sent = now;
    // One message a kWatchInterval at most.
    absl::SleepFor(kWatchInterval - std::min(kWatchInterval, absl::Now() - now));
  }
  return {grpc::StatusCode::UNAVAILABLE, "the coordinator is stopping"};
}

grpc::Status SweepsService::Act(SweepAction action,
                                const v1::SweepActionRequest* request,
                                v1::SweepActionResponse* response) {
  const absl::StatusOr<ActionReceipt> receipt = backend_.Act(action, request->sweep(), request->reason());
  if (!receipt.ok()) {
    return ToGrpc(receipt.status());
  }
  response->set_sweep(receipt->sweep.value());
  response->set_name(receipt->name);
  response->set_stages(receipt->stages);
  return grpc::Status::OK;
}

grpc::Status SweepsService::Cancel(grpc::ServerContext*,
                                   const v1::SweepActionRequest* request,
                                   v1::SweepActionResponse* response) {
  return Act(SweepAction::kCancel, request, response);
}

grpc::Status SweepsService::Pause(grpc::ServerContext*,
                                  const v1::SweepActionRequest* request,
                                  v1::SweepActionResponse* response) {
  return Act(SweepAction::kPause, request, response);
}

grpc::Status SweepsService::Resume(grpc::ServerContext*,
                                   const v1::SweepActionRequest* request,
                                   v1::SweepActionResponse* response) {
  return Act(SweepAction::kResume, request, response);
}

grpc::Status SweepsService::Retry(grpc::ServerContext*,
                                  const v1::SweepActionRequest* request,
                                  v1::SweepActionResponse* response) {
  return Act(SweepAction::kRetry, request, response);
}

grpc::Status SweepsService::Explain(grpc::ServerContext*,
                                    const v1::ExplainRequest* request,
                                    v1::ExplainResponse* response) {
  absl::StatusOr<StageExplanation> explanation = backend_.Explain(request->stage());
  if (!explanation.ok()) {
    return ToGrpc(explanation.status());
  }
  response->set_stage(explanation->stage.value());
  response->set_text(std::move(explanation->text));
  response->set_detail_json(std::move(explanation->detail_json));
  return grpc::Status::OK;
}

grpc::Status SweepsService::Logs(grpc::ServerContext*, const v1::LogsRequest* request, v1::LogsResponse* response) {
  absl::StatusOr<StageLog> log = backend_.Logs(request->stage(), request->attempt());
  if (!log.ok()) {
    return ToGrpc(log.status());
  }
  response->set_stage(log->stage.value());
  response->set_attempt(log->attempt);
  response->set_worker(log->worker);
  response->set_state(log->state);
  response->set_text(std::move(log->text));
  return grpc::Status::OK;
}

grpc::Status SweepsService::Workers(grpc::ServerContext*, const v1::WorkersRequest*, v1::WorkersResponse* response) {
  for (const WorkerView& worker : backend_.Workers()) {
    *response->add_workers() = Encode(worker);
  }
  return grpc::Status::OK;
}

grpc::Status SweepsService::Version(grpc::ServerContext*, const v1::VersionRequest*, v1::VersionResponse* response) {
  response->set_version(kVersion);
  response->set_build(kBuildId);
  for (const SemanticsVersion& row : kSemanticsVersions) {
    (*response->mutable_semantics())[std::string(row.kind)] = row.version;
  }
  return grpc::Status::OK;
}

}  // namespace bitsweep
