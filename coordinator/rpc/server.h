// The coordinator's gRPC server: decode, post to the Backend, encode. No decision is made here.
// Thread rule: Start, Stop and the destructor from one thread. The backend must outlive the server.
#pragma once

#include <memory>
#include <string>

#include <absl/status/statusor.h>

#include "coordinator/rpc/backend.h"

namespace bitsweep {

class RpcServer {
 public:
  /// Listens on `address` ("HOST:PORT"; port 0 takes a free one). UNAVAILABLE: it cannot be bound (the message says what to do).
  static absl::StatusOr<std::unique_ptr<RpcServer>> Start(const std::string& address, Backend& backend);
  ~RpcServer();

  /// "HOST:PORT" with the port that was bound.
  const std::string& address() const;
  /// Ends every call, sessions and watches included, and waits for them.
  void Stop();

 private:
  struct Impl;
  explicit RpcServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bitsweep
