// Rules for the spelling of names that come from another process: digests, relative paths, free
// text. Pure functions: any thread.
#pragma once

#include <string>
#include <string_view>

#include <absl/status/status.h>

namespace bitsweep {

/// Exactly 64 lower-case hexadecimal digits: a stage key or the SHA-256 of a blob.
bool IsHexDigest(std::string_view text);

/// OK when `path` can be joined to a folder without leaving it: not empty, '/'-separated, not
/// absolute, no empty, "." or
/// ".." part, no NUL. INVALID_ARGUMENT says what is wrong with it.
absl::Status CheckRelativePath(std::string_view path);

/// `text` with every byte that is not part of well-formed UTF-8 replaced by U+FFFD: a child's log
/// may hold anything, but protobuf and JSON carry only UTF-8.
std::string ToUtf8(std::string_view text);

}  // namespace bitsweep
