// Whether what a worker publishes can be believed enough to be stored. A worker is another program,
// maybe of another version: nothing it says may make a transaction fail. Pure: any thread.
#pragma once

#include <vector>

#include <absl/status/status.h>

#include "coordinator/domain/verdict.h"

#include "proto/contract/stage.h"

namespace bitsweep {

/// INVALID_ARGUMENT names the file or row: a name that is empty, absolute, has "." or ".." in it or
/// comes twice; a negative size; a digest that is none; a problem and sample that come twice; a
/// verdict that is empty or `infrastructure`; a figure that is not a number.
absl::Status CheckResult(const ArtifactManifest& artifact, const std::vector<VerdictRow>& verdicts);

}  // namespace bitsweep
