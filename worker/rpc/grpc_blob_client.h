// BlobClient over the coordinator's Artifacts service. Any thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "worker/agent/blob_client.h"

namespace bitsweep {

class GrpcBlobClient : public BlobClient {
 public:
  /// `server`: HOST:PORT.
  explicit GrpcBlobClient(const std::string& server);
  ~GrpcBlobClient() override;

  absl::StatusOr<std::vector<Digest>> Missing(const std::vector<Digest>& digests,
                                              std::stop_token stop) override;
  absl::Status Upload(const Digest& digest,
                      const std::string& path,
                      std::int64_t size,
                      std::stop_token stop) override;
  absl::Status Download(const Digest& digest,
                        std::int64_t offset,
                        const std::function<absl::Status(std::string_view)>& sink,
                        std::stop_token stop) override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bitsweep
