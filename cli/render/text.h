// Quantities in words for people: durations, sizes with their unit, counts, times. JSON output
// never uses these. Free functions without state: any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <absl/time/time.h>

namespace bitsweep::cli {

/// "850 ms", "12s", "2m 14s", "3h 05m", "2d 4h". Negative durations read "0s".
std::string FormatSpan(absl::Duration duration);

/// Decimal units with the unit always named: "512 B", "5.63 MB", "7.47 GB" (10^9 bytes).
std::string FormatBytes(std::int64_t bytes);

/// 364320 -> "364,320".
std::string FormatCount(std::int64_t count);

/// "1 stage", "2 stages", "3,456 stages".
std::string Plural(std::int64_t count, const std::string& noun);

/// Local date and minute; "-" for 0 (never).
std::string FormatMoment(std::int64_t unix_us);

/// The first 12 digits: enough to be unique, accepted everywhere.
std::string ShortKey(std::string_view key);

}  // namespace bitsweep::cli
