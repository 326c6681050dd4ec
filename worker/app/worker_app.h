// bitsweep-worker put together: cache, tools, runner, client, agent, signals. Main thread.
#pragma once

#include "worker/app/worker_options.h"

namespace bitsweep {

/// Runs until SIGTERM, SIGINT or a drain. Returns the exit code: 0 after a clean stop, 1 when it
/// could not start.
int RunWorker(const WorkerOptions& options);

}  // namespace bitsweep
