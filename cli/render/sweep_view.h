// A sweep's status as lines: what `status` prints once and `watch` redraws. One layout, so that
// both teach the same.
//
//   demo  sweep 3  running  2m 14s  about 1m 40s left  2 workers
//   ████████████░░░░░░░░░░  45%  31 of 68 stages  12 of 24 cells  9 cached
//   stages by kind, running stages with their bars, recent failures, notes
//
// Free functions without state: any thread.
#pragma once

#include <string>
#include <vector>

#include <absl/time/time.h>

#include "bitsweep/v1/sweeps.pb.h"
#include "cli/render/styled.h"

namespace bitsweep::cli {

struct ViewLimits {
  int running = 1000;  // Stages shown; the rest is counted.
  int failures = 20;
};

/// Counts of one stage kind, or of all. `running` counts leased ones, too.
struct StageTally {
  int total = 0, succeeded = 0, running = 0, ready = 0, waiting = 0, blocked = 0, failed = 0,
      cancelled = 0;
};
StageTally TallyStages(const v1::SweepStatus& status, std::string_view kind = "");

/// In [0, 1]: succeeded stages, and running ones by their own progress, of all that were not
/// cancelled.
double FractionDone(const v1::SweepStatus& status);

/// Whether no further change is to come.
bool HasEnded(std::string_view state);
Style StyleOfState(std::string_view state);

std::vector<Line> SweepView(const v1::SweepStatus& status,
                            const Terminal& terminal,
                            absl::Time now,
                            const ViewLimits& limits = {});

/// The lines of one failure: the stage with its class and worker, then the message's first line.
std::vector<Line> FailureLines(const v1::StageFailure& failure, const Terminal& terminal);

/// One line without colours for logs: "demo: running, 31 of 68 stages, 2 running, 1 failed, about
/// 1m 40s left".
std::string SweepLine(const v1::SweepStatus& status);

}  // namespace bitsweep::cli
