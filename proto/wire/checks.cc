#include "proto/wire/checks.h"

#include <nlohmann/json.hpp>

#include <absl/strings/str_cat.h>

#include "proto/base/names.h"

namespace bitsweep::wire {
namespace {

absl::Status CheckHex(const char* member, const std::string& text) {
  if (!IsHexDigest(text)) {
    return absl::InvalidArgumentError(absl::StrCat(
        member, ": \"", ToUtf8(text.substr(0, 80)), "\" is not 64 lower-case hexadecimal digits"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<StageKey> KeyFrom(const char* member, const std::string& text) {
  if (absl::Status status = CheckHex(member, text); !status.ok()) {
    return status;
  }
  return StageKey(text);
}

absl::StatusOr<Digest> DigestFrom(const char* member, const std::string& text) {
  if (absl::Status status = CheckHex(member, text); !status.ok()) {
    return status;
  }
  return Digest(text);
}

absl::Status CheckJsonObject(const char* member, const std::string& text) {
  const nlohmann::json value = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!value.is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(member, ": not a JSON object"));
  }
  return absl::OkStatus();
}

absl::Status CheckNotNegative(const char* member, std::int64_t value) {
  if (value < 0) {
    return absl::InvalidArgumentError(absl::StrCat(member, ": ", value, " is negative"));
  }
  return absl::OkStatus();
}

absl::Status CheckAtLeastOne(const char* member, std::int64_t value) {
  if (value < 1) {
    return absl::InvalidArgumentError(absl::StrCat(member, ": ", value, " is less than 1"));
  }
  return absl::OkStatus();
}

}  // namespace bitsweep::wire
