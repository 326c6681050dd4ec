// gzip files, unpacked in memory. Free functions: any thread. The only place that includes zlib.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <absl/status/statusor.h>

namespace bitsweep {

/// Whether the bytes begin as a gzip file does.
bool LooksGzipped(std::string_view bytes);

/// The content of a gzip file, of all its members. `origin` is used in messages only.
/// INVALID_ARGUMENT: not gzip, cut short, corrupt, followed by something else, or more than
/// `bytes_max` when unpacked.
absl::StatusOr<std::string> Gunzip(std::string_view bytes,
                                   const std::string& origin,
                                   std::int64_t bytes_max);

}  // namespace bitsweep
