// How this worker dials the coordinator, and gRPC's statuses as absl's. Any thread.
#pragma once

#include <memory>
#include <string>

#include <absl/status/status.h>
#include <grpcpp/channel.h>
#include <grpcpp/support/status.h>

namespace bitsweep {

/// A connection of its own for each `purpose`: bulk transfers do not stand in a heartbeat's way.
std::shared_ptr<grpc::Channel> Dial(const std::string& server, const std::string& purpose);

absl::Status FromGrpc(const grpc::Status& status);

}  // namespace bitsweep
