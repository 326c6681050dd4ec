// The exit codes of `bitsweep`: a stable contract that scripts rely on.
// Plain values: any thread.
#pragma once

#include <absl/status/status.h>

namespace bitsweep::cli {

enum class ExitCode : int {
  kOk = 0,
  kFailed = 1,       // The thing itself failed, e.g. the watched sweep.
  kUsage = 2,        // A wrong command line or a wrong sweep file. Nothing was sent.
  kUnreachable = 3,  // No coordinator at the given address.
  kNotFound = 4,     // No such sweep, stage, question…
  kRefused = 5,      // The coordinator understood and said no.
  kDetached = 130,  // Ctrl-C: the shell's own convention, so that `submit --watch && tables` stops.
};

/// Maps a failure to its exit code. INTERNAL, UNKNOWN, DATA_LOSS and the like are kFailed.
/// REQUIRES: `status` is not OK.
ExitCode ExitCodeOf(const absl::Status& status);

}  // namespace bitsweep::cli
