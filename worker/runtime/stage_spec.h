// The run spec of one attempt: what the coordinator planned, with the paths and figures of this
// machine filled in. Pure: any thread.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include <absl/status/statusor.h>

#include "proto/contract/session.h"

namespace bitsweep {

/// The spec of `assignment` with `paths` (JSON pointer -> absolute path) put in, and the members
/// that every spec has: protocol, kind, stage, attempt, semantics, threads, output.dir.
/// INVALID_ARGUMENT: the planned spec is no object, or a pointer does not fit it.
absl::StatusOr<nlohmann::json> LocalSpec(const Assignment& assignment,
                                         const std::map<std::string, std::string>& paths,
                                         const std::string& output_folder);

/// The spec that hashes a model folder: how an identity is checked that this machine does not know.
nlohmann::json InspectSpec(const Assignment& assignment,
                           const std::string& model_folder,
                           const std::string& output_folder);

}  // namespace bitsweep
