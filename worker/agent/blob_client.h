// Moves blobs between this machine and the coordinator. The runtime calls it and worker/rpc
// implements it; it lies here because both may include the agent's interfaces and not each other.
// Any thread; calls block.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "proto/base/ids.h"

namespace bitsweep {

/// Every call ends soon with CANCELLED once `stop` is requested. UNAVAILABLE and DEADLINE_EXCEEDED:
/// the coordinator is away, try again.
class BlobClient {
 public:
  virtual ~BlobClient() = default;
  /// Which of `digests` the coordinator does not hold.
  virtual absl::StatusOr<std::vector<Digest>> Missing(const std::vector<Digest>& digests,
                                                      std::stop_token stop) = 0;
  /// Sends the file's bytes. INVALID_ARGUMENT or DATA_LOSS: they do not have this digest and size.
  virtual absl::Status Upload(const Digest& digest,
                              const std::string& path,
                              std::int64_t size,
                              std::stop_token stop) = 0;
  /// Gives the bytes from `offset` on to `sink`, in order. NOT_FOUND: the coordinator does not hold
  /// the blob. An error of `sink` ends the call and is returned.
  virtual absl::Status Download(const Digest& digest,
                                std::int64_t offset,
                                const std::function<absl::Status(std::string_view)>& sink,
                                std::stop_token stop) = 0;
};

}  // namespace bitsweep
