#include "cli/render/text.h"

#include <array>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>

namespace bitsweep::cli {

std::string FormatSpan(absl::Duration duration) {
  if (duration <= absl::ZeroDuration()) {
    return "0s";
  }
  if (duration < absl::Seconds(1)) {
    return absl::StrCat(absl::ToInt64Milliseconds(duration), " ms");
  }
  const std::int64_t seconds = absl::ToInt64Seconds(duration);
  if (seconds < 60) {
    return absl::StrCat(seconds, "s");
  }
  if (seconds < 3600) {
    return absl::StrFormat("%dm %02ds", seconds / 60, seconds % 60);
  }
  if (seconds < 86400) {
    return absl::StrFormat("%dh %02dm", seconds / 3600, seconds % 3600 / 60);
  }
  return absl::StrFormat("%dd %dh", seconds / 86400, seconds % 86400 / 3600);
}

std::string FormatBytes(std::int64_t bytes) {
  if (bytes < 1000) {
    return absl::StrCat(bytes, " B");
  }
  static constexpr std::array kUnits = {"kB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes) / 1000.0;
  std::size_t unit = 0;
  while (value >= 999.995 && unit + 1 < kUnits.size()) {
    value /= 1000.0;
    ++unit;
  }
  return absl::StrFormat("%.2f %s", value, kUnits[unit]);
}

std::string FormatCount(std::int64_t count) {
  std::string digits = absl::StrCat(count);
  for (std::ptrdiff_t at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > (count < 0 ? 1 : 0);
       at -= 3) {
    digits.insert(static_cast<std::size_t>(at), 1, ',');
  }
  return digits;
}

std::string Plural(std::int64_t count, const std::string& noun) {
  return absl::StrCat(FormatCount(count), " ", noun, count == 1 ? "" : "s");
}

std::string FormatMoment(std::int64_t unix_us) {
  if (unix_us <= 0) {
    return "-";
  }
  return absl::FormatTime("%Y-%m-%d %H:%M", absl::FromUnixMicros(unix_us), absl::LocalTimeZone());
}

std::string ShortKey(std::string_view key) {
  return std::string(key.substr(0, 12));
}

}  // namespace bitsweep::cli
