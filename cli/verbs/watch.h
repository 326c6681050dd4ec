// Following a sweep until it ends: `watch`, and `submit --watch`.
// Runs on: the main thread.
#pragma once

#include <string>

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include "cli/context.h"

namespace bitsweep::cli {

/// Shows `sweep` until it ends (kOk or kFailed), the user presses Ctrl-C (kDetached), or the
/// coordinator has been away for `give_up_after` (UNAVAILABLE). On a terminal the view is redrawn
/// in place; elsewhere a line is written for every change of state, and for progress at most every
/// 5 seconds; with --output json one line per status.
absl::StatusOr<ExitCode> FollowSweep(Context& context,
                                     const std::string& sweep,
                                     absl::Duration give_up_after);

}  // namespace bitsweep::cli
