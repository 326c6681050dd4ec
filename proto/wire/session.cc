#include "proto/wire/session.h"

#include <type_traits>

#include <absl/strings/str_cat.h>

#include "proto/base/names.h"
#include "proto/base/status_macros.h"
#include "proto/wire/checks.h"
#include "proto/wire/stage.h"

namespace bitsweep::wire {
namespace {

template <typename Messages>
absl::StatusOr<std::vector<Fence>> FencesFrom(const Messages& messages) {
  std::vector<Fence> fences;
  for (const v1::Fence& message : messages) {
    BITSWEEP_ASSIGN_OR_RETURN(Fence fence, FromProto(message));
    fences.push_back(std::move(fence));
  }
  return fences;
}

template <typename Messages>
void AddFences(const std::vector<Fence>& fences, Messages* messages) {
  for (const Fence& fence : fences) {
    *messages->Add() = ToProto(fence);
  }
}

absl::StatusOr<WorkerMessage> ProgressFrom(const v1::StageProgress& message) {
  BITSWEEP_ASSIGN_OR_RETURN(Fence fence, FromProto(message.fence()));
  BITSWEEP_RETURN_IF_ERROR(CheckNotNegative("progress.done", message.done()));
  BITSWEEP_RETURN_IF_ERROR(CheckNotNegative("progress.total", message.total()));
  return StageProgress{.fence = std::move(fence),
                       .phase = message.phase(),
                       .unit = message.unit(),
                       .done = message.done(),
                       .total = message.total()};
}

absl::StatusOr<WorkerMessage> SucceededFrom(const v1::StageSucceeded& message) {
  BITSWEEP_ASSIGN_OR_RETURN(Fence fence, FromProto(message.fence()));
  BITSWEEP_ASSIGN_OR_RETURN(ArtifactManifest artifact, FromProto(message.artifact()));
  BITSWEEP_RETURN_IF_ERROR(
      CheckNotNegative("succeeded.peak_host_bytes", message.peak_host_bytes()));
  BITSWEEP_RETURN_IF_ERROR(CheckNotNegative("succeeded.peak_gpu_bytes", message.peak_gpu_bytes()));
  return StageSucceeded{.fence = std::move(fence),
                        .artifact = std::move(artifact),
                        .peak_host_bytes = message.peak_host_bytes(),
                        .peak_gpu_bytes = message.peak_gpu_bytes(),
                        .build = message.build(),
                        .log_tail = message.log_tail()};
}

absl::StatusOr<WorkerMessage> FailedFrom(const v1::StageFailed& message) {
  BITSWEEP_ASSIGN_OR_RETURN(Fence fence, FromProto(message.fence()));
  BITSWEEP_ASSIGN_OR_RETURN(const FailureClass failure, FromProto(message.failure()));
  return StageFailed{.fence = std::move(fence),
                     .failure = failure,
                     .message = message.message(),
                     .log_tail = message.log_tail()};
}

absl::StatusOr<CoordinatorMessage> RegisteredFrom(const v1::Registered& message) {
  BITSWEEP_RETURN_IF_ERROR(CheckAtLeastOne("registered.worker", message.worker()));
  BITSWEEP_RETURN_IF_ERROR(
      CheckAtLeastOne("registered.heartbeat_interval_ms", message.heartbeat_interval_ms()));
  BITSWEEP_ASSIGN_OR_RETURN(std::vector<Fence> keep, FencesFrom(message.keep()));
  return Registered{.worker = WorkerId(message.worker()),
                    .heartbeat_interval = absl::Milliseconds(message.heartbeat_interval_ms()),
                    .keep = std::move(keep)};
}

// The wire form of each worker message, by overload.
void Fill(const StageStarted& from, v1::WorkerMessage* to) {
  *to->mutable_started()->mutable_fence() = ToProto(from.fence);
}
void Fill(const StageProgress& from, v1::WorkerMessage* to) {
  v1::StageProgress& out = *to->mutable_progress();
  *out.mutable_fence() = ToProto(from.fence);
  out.set_phase(ToUtf8(from.phase));
  out.set_unit(ToUtf8(from.unit));
  out.set_done(from.done);
  out.set_total(from.total);
}
void Fill(const StageSucceeded& from, v1::WorkerMessage* to) {
  v1::StageSucceeded& out = *to->mutable_succeeded();
  *out.mutable_fence() = ToProto(from.fence);
  *out.mutable_artifact() = ToProto(from.artifact);
  out.set_peak_host_bytes(from.peak_host_bytes);
  out.set_peak_gpu_bytes(from.peak_gpu_bytes);
  out.set_build(ToUtf8(from.build));
  out.set_log_tail(ToUtf8(from.log_tail));
}
void Fill(const StageFailed& from, v1::WorkerMessage* to) {
  v1::StageFailed& out = *to->mutable_failed();
  *out.mutable_fence() = ToProto(from.fence);
  out.set_failure(ToProto(from.failure));
  out.set_message(ToUtf8(from.message));
  out.set_log_tail(ToUtf8(from.log_tail));
}
void Fill(const Heartbeat& from, v1::WorkerMessage* to) {
  AddFences(from.held, to->mutable_heartbeat()->mutable_held());
}
void Fill(const Goodbye& from, v1::WorkerMessage* to) {
  to->mutable_goodbye()->set_reason(ToUtf8(from.reason));
}

// The wire form of each coordinator message, by overload.
void Fill(const Registered& from, v1::CoordinatorMessage* to) {
  v1::Registered& out = *to->mutable_registered();
  out.set_worker(from.worker.value());
  out.set_heartbeat_interval_ms(absl::ToInt64Milliseconds(from.heartbeat_interval));
  AddFences(from.keep, out.mutable_keep());
}
void Fill(const Assignment& from, v1::CoordinatorMessage* to) {
  *to->mutable_leases()->add_assignments() = ToProto(from);
}
void Fill(const CancelAttempt& from, v1::CoordinatorMessage* to) {
  *to->mutable_cancel()->mutable_fence() = ToProto(from.fence);
  to->mutable_cancel()->set_reason(ToUtf8(from.reason));
}
void Fill(const ResultAcknowledged& from, v1::CoordinatorMessage* to) {
  *to->mutable_acknowledged()->mutable_fence() = ToProto(from.fence);
  to->mutable_acknowledged()->set_stale(from.stale);
}
void Fill(const Drain& from, v1::CoordinatorMessage* to) {
  to->mutable_drain()->set_reason(ToUtf8(from.reason));
}

}  // namespace

absl::StatusOr<Fence> FromProto(const v1::Fence& message) {
  BITSWEEP_ASSIGN_OR_RETURN(StageKey stage, KeyFrom("fence.stage", message.stage()));
  BITSWEEP_RETURN_IF_ERROR(CheckAtLeastOne("fence.attempt", message.attempt()));
  BITSWEEP_RETURN_IF_ERROR(CheckAtLeastOne("fence.lease", message.lease()));
  return Fence{
      .stage = std::move(stage), .attempt = message.attempt(), .lease = LeaseId(message.lease())};
}

v1::Fence ToProto(const Fence& fence) {
  v1::Fence message;
  message.set_stage(fence.stage.value());
  message.set_attempt(fence.attempt);
  message.set_lease(fence.lease.value());
  return message;
}

absl::StatusOr<WorkerOffer> FromProto(const v1::WorkerOffer& message) {
  WorkerOffer offer;
  if (message.name().empty()) {
    return absl::InvalidArgumentError("offer.name: is empty");
  }
  BITSWEEP_RETURN_IF_ERROR(CheckAtLeastOne("offer.cores", message.cores()));
  BITSWEEP_RETURN_IF_ERROR(CheckAtLeastOne("offer.slots", message.slots()));
  BITSWEEP_RETURN_IF_ERROR(CheckNotNegative("offer.host_bytes", message.host_bytes()));
  for (const int kind : message.stages()) {
    BITSWEEP_ASSIGN_OR_RETURN(const StageKind stage, FromProto(static_cast<v1::StageKind>(kind)));
    offer.stages.push_back(stage);
  }
  for (const auto& [kind, version] : message.semantics()) {
    if (!ParseStageKind(kind)) {
      // A newer worker may know kinds that this build does not: they can never be asked for, so
      // they are left out.
      continue;
    }
    BITSWEEP_RETURN_IF_ERROR(CheckNotNegative("offer.semantics", version));
    offer.semantics[kind] = version;
  }
  for (const v1::Gpu& gpu : message.gpus()) {
    BITSWEEP_RETURN_IF_ERROR(CheckNotNegative("offer.gpus.memory_bytes", gpu.memory_bytes()));
    offer.gpus.push_back({.name = gpu.name(),
                          .memory_bytes = gpu.memory_bytes(),
                          .compute_capability = gpu.compute_capability()});
  }
  for (const std::string& model : message.models()) {
    if (absl::Status status = CheckRelativePath(model); !status.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("offer.models: ", status.message()));
    }
    offer.models.push_back(model);
  }
  offer.name = message.name();
  offer.version = message.version();
  offer.build = message.build();
  offer.host_bytes = message.host_bytes();
  offer.cores = message.cores();
  offer.slots = message.slots();
  offer.isolation = message.isolation();
  offer.labels = {message.labels().begin(), message.labels().end()};
  return offer;
}

v1::WorkerOffer ToProto(const WorkerOffer& offer) {
  v1::WorkerOffer message;
  message.set_name(ToUtf8(offer.name));
  message.set_version(offer.version);
  message.set_build(offer.build);
  for (const StageKind kind : offer.stages) {
    message.add_stages(ToProto(kind));
  }
  message.mutable_semantics()->insert(offer.semantics.begin(), offer.semantics.end());
  for (const GpuOffer& gpu : offer.gpus) {
    v1::Gpu& out = *message.add_gpus();
    out.set_name(ToUtf8(gpu.name));
    out.set_memory_bytes(gpu.memory_bytes);
    out.set_compute_capability(gpu.compute_capability);
  }
  message.set_host_bytes(offer.host_bytes);
  message.set_cores(offer.cores);
  message.set_slots(offer.slots);
  message.set_isolation(offer.isolation);
  for (const auto& [key, value] : offer.labels) {
    (*message.mutable_labels())[ToUtf8(key)] = ToUtf8(value);
  }
  message.mutable_models()->Add(offer.models.begin(), offer.models.end());
  return message;
}

absl::StatusOr<Registration> FromProto(const v1::Register& message) {
  Registration registration;
  BITSWEEP_ASSIGN_OR_RETURN(registration.offer, FromProto(message.offer()));
  BITSWEEP_ASSIGN_OR_RETURN(registration.held, FencesFrom(message.held()));
  return registration;
}

v1::WorkerMessage ToProto(const Registration& registration) {
  v1::WorkerMessage message;
  *message.mutable_register_()->mutable_offer() = ToProto(registration.offer);
  AddFences(registration.held, message.mutable_register_()->mutable_held());
  return message;
}

absl::StatusOr<Assignment> FromProto(const v1::Assignment& message) {
  Assignment assignment;
  BITSWEEP_ASSIGN_OR_RETURN(assignment.fence, FromProto(message.fence()));
  BITSWEEP_ASSIGN_OR_RETURN(assignment.stage, FromProto(message.stage()));
  if (assignment.fence.stage != assignment.stage.key) {
    return absl::InvalidArgumentError(absl::StrCat("assignment: the fence names stage ",
                                                   assignment.fence.stage.value(),
                                                   ", the stage is ",
                                                   assignment.stage.key.value()));
  }
  for (const auto& [key, wire] : message.artifacts()) {
    BITSWEEP_RETURN_IF_ERROR(KeyFrom("assignment.artifacts", key).status());
    BITSWEEP_ASSIGN_OR_RETURN(assignment.artifacts[key], FromProto(wire));
  }
  for (const StageInput& input : assignment.stage.inputs) {
    if (input.source == StageInput::Source::kArtifact &&
        !assignment.artifacts.contains(input.value)) {
      return absl::InvalidArgumentError(
          absl::StrCat("assignment: no manifest of the artifact of stage ",
                       input.value,
                       " for ",
                       input.pointer));
    }
  }
  BITSWEEP_RETURN_IF_ERROR(CheckAtLeastOne("assignment.cores", message.cores()));
  assignment.cores = message.cores();
  return assignment;
}

v1::Assignment ToProto(const Assignment& assignment) {
  v1::Assignment message;
  *message.mutable_fence() = ToProto(assignment.fence);
  *message.mutable_stage() = ToProto(assignment.stage);
  for (const auto& [key, manifest] : assignment.artifacts) {
    (*message.mutable_artifacts())[key] = ToProto(manifest);
  }
  message.set_cores(assignment.cores);
  return message;
}

absl::StatusOr<WorkerMessage> FromProto(const v1::WorkerMessage& message) {
  switch (message.body_case()) {
    case v1::WorkerMessage::kRegister:
      return absl::FailedPreconditionError("register: the session is already registered");
    case v1::WorkerMessage::kStarted: {
      BITSWEEP_ASSIGN_OR_RETURN(Fence fence, FromProto(message.started().fence()));
      return StageStarted{.fence = std::move(fence)};
    }
    case v1::WorkerMessage::kProgress:
      return ProgressFrom(message.progress());
    case v1::WorkerMessage::kSucceeded:
      return SucceededFrom(message.succeeded());
    case v1::WorkerMessage::kFailed:
      return FailedFrom(message.failed());
    case v1::WorkerMessage::kHeartbeat: {
      BITSWEEP_ASSIGN_OR_RETURN(std::vector<Fence> held, FencesFrom(message.heartbeat().held()));
      return Heartbeat{.held = std::move(held)};
    }
    case v1::WorkerMessage::kGoodbye:
      return Goodbye{.reason = message.goodbye().reason()};
    case v1::WorkerMessage::BODY_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("worker message: no body that this build knows");
}

v1::WorkerMessage ToProto(const WorkerMessage& message) {
  v1::WorkerMessage out;
  std::visit([&out](const auto& body) { Fill(body, &out); }, message);
  return out;
}

absl::StatusOr<std::vector<CoordinatorMessage>> FromProto(const v1::CoordinatorMessage& message) {
  std::vector<CoordinatorMessage> messages;
  switch (message.body_case()) {
    case v1::CoordinatorMessage::kRegistered: {
      BITSWEEP_ASSIGN_OR_RETURN(CoordinatorMessage registered,
                                RegisteredFrom(message.registered()));
      messages.push_back(std::move(registered));
      return messages;
    }
    case v1::CoordinatorMessage::kLeases:
      for (const v1::Assignment& lease : message.leases().assignments()) {
        BITSWEEP_ASSIGN_OR_RETURN(Assignment assignment, FromProto(lease));
        messages.emplace_back(std::move(assignment));
      }
      return messages;
    case v1::CoordinatorMessage::kCancel: {
      BITSWEEP_ASSIGN_OR_RETURN(Fence fence, FromProto(message.cancel().fence()));
      messages.emplace_back(
          CancelAttempt{.fence = std::move(fence), .reason = message.cancel().reason()});
      return messages;
    }
    case v1::CoordinatorMessage::kAcknowledged: {
      BITSWEEP_ASSIGN_OR_RETURN(Fence fence, FromProto(message.acknowledged().fence()));
      messages.emplace_back(
          ResultAcknowledged{.fence = std::move(fence), .stale = message.acknowledged().stale()});
      return messages;
    }
    case v1::CoordinatorMessage::kDrain:
      messages.emplace_back(Drain{.reason = message.drain().reason()});
      return messages;
    case v1::CoordinatorMessage::BODY_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("coordinator message: no body that this build knows");
}

v1::CoordinatorMessage ToProto(const CoordinatorMessage& message) {
  v1::CoordinatorMessage out;
  std::visit([&out](const auto& body) { Fill(body, &out); }, message);
  return out;
}

}  // namespace bitsweep::wire
