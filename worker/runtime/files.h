// File calls that report errors as Status. Any thread.
#pragma once

#include <string>
#include <string_view>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

namespace bitsweep {

/// RESOURCE_EXHAUSTED when the disk (or a quota) is full, else INTERNAL; the message names `what`.
absl::Status ErrnoStatus(int error, std::string_view what);

absl::StatusOr<std::string> ReadFile(const std::string& path);
/// Replaces `path` atomically and durably: written beside it, synced, renamed, folder synced.
absl::Status WriteFileDurably(const std::string& path, std::string_view text);
/// Creates the folder and those above it.
absl::Status MakeFolder(const std::string& path);
/// Removes a file or a folder with all below; nothing when there is none.
void RemoveAll(const std::string& path);
absl::Status Rename(const std::string& from, const std::string& to);
absl::Status SyncFolder(const std::string& path);

}  // namespace bitsweep
