// What this worker offers: its options met with what the machine has. Main thread.
#pragma once

#include <optional>
#include <string>

#include <absl/status/statusor.h>

#include "worker/app/worker_options.h"
#include "worker/runtime/machine.h"

#include "proto/contract/session.h"

namespace bitsweep {

struct Tools {
  std::optional<Tool> engine, grader;
};

/// Asks the tools for their versions. One that was named and does not answer is an error; one that
/// merely is not beside this binary is left out, with a word in the log.
absl::StatusOr<Tools> FindTools(const WorkerOptions& options, Children& children);

/// The offer without the models, which are listed at every registration. FAILED_PRECONDITION: an
/// isolation or a stage that was asked for does not work here, or there is nothing to offer.
absl::StatusOr<WorkerOffer> MakeOffer(const WorkerOptions& options,
                                      const Tools& tools,
                                      const std::string& default_name,
                                      Children& children);

}  // namespace bitsweep
