// The session's messages between protobuf and contract values. FromProto validates
// (INVALID_ARGUMENT names the member); ToProto never fails: texts that are not UTF-8 are mended.
// Pure functions: any thread.
#pragma once

#include <vector>

#include <absl/status/statusor.h>

#include "bitsweep/v1/worker.pb.h"

#include "proto/contract/session.h"

namespace bitsweep::wire {

/// The stage is a key, attempt and lease are at least 1.
absl::StatusOr<Fence> FromProto(const v1::Fence& message);
v1::Fence ToProto(const Fence& fence);

/// The name is not empty, cores and slots are at least 1, semantics name known kinds, model folders
/// are relative.
absl::StatusOr<WorkerOffer> FromProto(const v1::WorkerOffer& message);
v1::WorkerOffer ToProto(const WorkerOffer& offer);

absl::StatusOr<Registration> FromProto(const v1::Register& message);
v1::WorkerMessage ToProto(const Registration& registration);

/// Every artifact input has its manifest; the fence names the stage.
absl::StatusOr<Assignment> FromProto(const v1::Assignment& message);
v1::Assignment ToProto(const Assignment& assignment);

/// Every message but Register, which opens a session and is decoded by itself: FAILED_PRECONDITION
/// when it comes here.
absl::StatusOr<WorkerMessage> FromProto(const v1::WorkerMessage& message);
v1::WorkerMessage ToProto(const WorkerMessage& message);

/// One message may carry several leases, hence the vector. One bad lease refuses them all: a reader
/// that wants to refuse only that one decodes `message.leases()` by itself.
absl::StatusOr<std::vector<CoordinatorMessage>> FromProto(const v1::CoordinatorMessage& message);
v1::CoordinatorMessage ToProto(const CoordinatorMessage& message);

}  // namespace bitsweep::wire
