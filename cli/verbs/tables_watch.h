// `tables --watch`: the tables of a running sweep, kept up to date until it has ended. Runs on: the
// main thread.
#pragma once

#include <absl/status/statusor.h>

#include "cli/context.h"
#include "cli/verbs/tables_text.h"

namespace bitsweep::cli {

/// On a terminal the tables are redrawn in place and stay, whole, at the end; elsewhere each is
/// written again when it has changed. kOk when the sweep succeeded, kFailed when it ended
/// otherwise, kDetached on Ctrl-C. Errors as `tables` and `watch`.
absl::StatusOr<ExitCode> WatchTables(const TablesOptions& options, Context& context);

}  // namespace bitsweep::cli
