// Limits of the agent, with their reasons. Constants: any thread.
#pragma once

#include <absl/time/time.h>

namespace bitsweep {

// A coordinator that restarts is back within seconds; half a minute would waste a fleet's time.
inline constexpr absl::Duration kReconnectDelayMin = absl::Milliseconds(250);
inline constexpr absl::Duration kReconnectDelayMax = absl::Seconds(5);

// A person sees no more than two updates a second, and each one costs the coordinator an event.
inline constexpr absl::Duration kProgressInterval = absl::Milliseconds(500);

// How long a stop may take: the grace of a child after SIGTERM, its SIGKILL, and the goodbye.
inline constexpr absl::Duration kStopTimeout = absl::Seconds(30);

}  // namespace bitsweep
