// Wire messages as JSON for scripts: the field names of the .proto files, every field present,
// integers as numbers (protobuf's own JSON form makes strings of 64-bit ones, which no script
// expects). Free functions without state: any thread.
#pragma once

#include <nlohmann/json.hpp>

#include <google/protobuf/message.h>

namespace bitsweep::cli {

/// The message and everything in it. A member whose name ends in `_json` holds JSON text and
/// appears as a value under the name without that ending.
nlohmann::ordered_json ToJson(const google::protobuf::Message& message);

}  // namespace bitsweep::cli
