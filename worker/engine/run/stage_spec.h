// Reads a stage spec (proto/README.md) strictly: what is unknown, missing or of another version is
// bad_input, before anything runs. Thread rule: any thread.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "worker/engine/stage.h"

namespace bitsweep::engine {

/// The version of the messages between an agent and its child processes.
inline constexpr int kProtocol = 1;

/// `where` is the document's name for messages. Throws kBadInput with the JSON pointer of the
/// offence: another protocol, a kind that this tool does not run, another semantics version, a
/// misspelt common member, an output folder that is relative or not there. The kind's own members
/// are checked by the kind.
StageSpec ParseStageSpec(const nlohmann::json& document, const std::string& where);
StageSpec ReadStageSpec(const std::string& path);

}  // namespace bitsweep::engine
