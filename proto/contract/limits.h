// Every limit that two processes share, with its reason. Limits of one room live in that room.
#pragma once

#include <cstdint>

#include <absl/time/time.h>

namespace bitsweep {

inline constexpr int kHeartbeatSeconds = 2;
inline constexpr absl::Duration kHeartbeatInterval = absl::Seconds(kHeartbeatSeconds);
// Three heartbeats: one may be dropped, one late, the third is evidence. The floor of 10 s covers a stalled machine.
inline constexpr absl::Duration kWorkerLostAfter = absl::Seconds(10);
static_assert(kWorkerLostAfter >= absl::Seconds(3 * kHeartbeatSeconds));

// The stage log that travels with a result; the whole log stays on the worker.
inline constexpr std::int64_t kLogTailBytes = 64 << 10;
// gRPC messages stay far below its 4 MiB default; artifacts travel in pieces of this size.
inline constexpr std::int64_t kChunkBytes = 1 << 20;
// An uploaded benchmark or calibration file (architecture: "limit 1 GiB each").
inline constexpr std::int64_t kUploadBytesMax = std::int64_t{1} << 30;
// A sweep file larger than this is a mistake.
inline constexpr std::int64_t kSweepFileBytesMax = 4 << 20;
// Blobs above this size stay with the worker that made them unless an artifact store is configured.
inline constexpr std::int64_t kSmallBlobBytesMax = 64 << 20;

}  // namespace bitsweep
