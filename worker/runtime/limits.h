// Limits of the runtime, with their reasons. Constants: any thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include <absl/time/time.h>

namespace bitsweep {

// An event is a few hundred bytes; a `done` summary may carry a figure for every layer.
inline constexpr std::size_t kEventLineBytesMax = 1 << 20;
// A stage's log on disk; what comes after is dropped but for the tail, which is kept in memory.
inline constexpr std::int64_t kStageLogBytesMax = 16 << 20;
// From SIGTERM to SIGKILL: an engine needs a moment to finish the file that it writes.
inline constexpr absl::Duration kTerminationGrace = absl::Seconds(10);
// After `done` or `failed` only destructors run.
inline constexpr absl::Duration kExitGrace = absl::Seconds(60);
// A block of a large model on a slow CPU may take most of an hour between two events. A guess.
inline constexpr absl::Duration kHangAfter = absl::Hours(2);
// A checkpoint has one file a block and a few more.
inline constexpr std::size_t kArtifactFilesMax = 10'000;
// Folders below a model root that are looked at: owner/model/snapshot is three.
inline constexpr int kModelDepthMax = 4;
// `version` answers at once; a cold disk may need some seconds for libtorch's 300 libraries.
inline constexpr absl::Duration kProbeTimeout = absl::Seconds(60);
// What a probe may print.
inline constexpr std::size_t kProbeBytesMax = 1 << 20;
// Waits between tries while the coordinator is away.
inline constexpr absl::Duration kTransferRetryMin = absl::Milliseconds(250);
inline constexpr absl::Duration kTransferRetryMax = absl::Seconds(5);
// What a failure's message may hold of a child's own words.
inline constexpr std::size_t kFailureMessageBytesMax = 4 << 10;

}  // namespace bitsweep
