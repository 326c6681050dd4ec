// Stages, artifacts and their parts between protobuf and contract values.
// FromProto is the one place where wire values are validated: INVALID_ARGUMENT names the member and
// what was found; after it, a value's types cannot be wrong. ToProto never fails. Pure functions:
// any thread.
#pragma once

#include <absl/status/statusor.h>

#include "bitsweep/v1/worker.pb.h"

#include "proto/contract/stage.h"

namespace bitsweep::wire {

/// STAGE_KIND_UNSPECIFIED and numbers that this build does not know are refused.
absl::StatusOr<StageKind> FromProto(v1::StageKind kind);
v1::StageKind ToProto(StageKind kind);

/// FAILURE_CLASS_UNSPECIFIED and numbers that this build does not know are refused.
absl::StatusOr<FailureClass> FromProto(v1::FailureClass failure);
v1::FailureClass ToProto(FailureClass failure);

/// File names are relative without ".." and unique; sizes are not negative; the summary is a JSON
/// object.
absl::StatusOr<ArtifactManifest> FromProto(const v1::ArtifactManifest& message);
v1::ArtifactManifest ToProto(const ArtifactManifest& manifest);

absl::StatusOr<StageNeeds> FromProto(const v1::StageNeeds& message);
v1::StageNeeds ToProto(const StageNeeds& needs);

/// The pointer is a JSON pointer below the root; the value fits its source.
absl::StatusOr<StageInput> FromProto(const v1::StageInput& message);
v1::StageInput ToProto(const StageInput& input);

/// Every artifact input names one of the stage's upstream keys.
absl::StatusOr<StageDefinition> FromProto(const v1::StageDefinition& message);
v1::StageDefinition ToProto(const StageDefinition& stage);

}  // namespace bitsweep::wire
