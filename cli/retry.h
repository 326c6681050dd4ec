// Calls that make something on the coordinator: they carry a request id, so that one whose answer
// was lost can be repeated and makes nothing twice. Runs on: the main thread.
#pragma once

#include <functional>
#include <string>

#include <absl/status/statusor.h>
#include <absl/time/clock.h>
#include <absl/time/time.h>

#include "cli/client.h"
#include "cli/context.h"

namespace bitsweep::cli {

// Once a coordinator has answered, a restart of it must not lose what was asked.
inline constexpr absl::Duration kRetryFor = absl::Seconds(60);
inline constexpr absl::Duration kRetryInterval = absl::Milliseconds(500);

/// 128 random bits in hexadecimal: two requests never share one, and a retry of ours is known by
/// it.
std::string MakeRequestId();

/// Runs `attempt` again while the coordinator is away, for kRetryFor at most. Says so once.
template <typename Result>
absl::StatusOr<Result> RetryWhileAway(Context& context,
                                      const std::function<absl::StatusOr<Result>()>& attempt) {
  const absl::Time give_up = absl::Now() + kRetryFor;
  bool said = false;
  while (true) {
    absl::StatusOr<Result> result = attempt();
    if (result.ok() || !IsConnectionLoss(result.status()) || absl::Now() >= give_up) {
      return result;
    }
    if (!said) {
      context.Remark(Line("the coordinator went away; trying again…", Style::kWarn));
      said = true;
    }
    absl::SleepFor(kRetryInterval);
  }
}

}  // namespace bitsweep::cli
