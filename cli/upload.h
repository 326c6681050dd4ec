// Brings the files that a sweep names to the coordinator, by digest: what it already holds is not
// sent again. Runs on: the main thread.
#pragma once

#include <map>
#include <string>

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include "cli/client.h"
#include "cli/context.h"
#include "cli/sweep_file.h"

namespace bitsweep::cli {

struct UploadTotals {
  int files = 0;
  std::int64_t bytes = 0;
};

/// Uploads the blobs that are missing, with a bar on standard error where that is a terminal.
/// UNAVAILABLE, DEADLINE_EXCEEDED: the coordinator is away. INVALID_ARGUMENT: a file changed while
/// it was read.
absl::StatusOr<UploadTotals> UploadMissing(Context& context,
                                           Client& client,
                                           const SweepFile& file,
                                           const FileFactsByPath& facts);

}  // namespace bitsweep::cli
