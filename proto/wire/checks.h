// What several FromProto functions check; private to this room.
#pragma once

#include <cstdint>
#include <string>

#include <absl/status/statusor.h>

#include "proto/base/ids.h"

namespace bitsweep::wire {

/// INVALID_ARGUMENT unless `text` is 64 lower-case hexadecimal digits. `member` names it in the
/// message.
absl::StatusOr<StageKey> KeyFrom(const char* member, const std::string& text);
absl::StatusOr<Digest> DigestFrom(const char* member, const std::string& text);

/// INVALID_ARGUMENT unless `text` is one JSON object.
absl::Status CheckJsonObject(const char* member, const std::string& text);

absl::Status CheckNotNegative(const char* member, std::int64_t value);
absl::Status CheckAtLeastOne(const char* member, std::int64_t value);

}  // namespace bitsweep::wire
