#include "worker/rpc/channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

namespace bitsweep {
namespace {

// An assignment carries the manifests of its inputs, some hundred files each; gRPC's own limit of
// 4 MiB would be near.
constexpr int kMessageBytesMax = 16 << 20;
// The agent has a backoff of its own; gRPC's (up to two minutes) must not lie on top of it.
constexpr int kReconnectMsMin = 200;
constexpr int kReconnectMsMax = 1000;
// With keepalive on, gRPC sets TCP_USER_TIMEOUT to the timeout: heartbeats that a dead machine
// never confirms end the connection after 15 s instead of a quarter of an hour. The pings
// themselves are as rare as servers allow by default.
constexpr int kKeepaliveMs = 310'000;
constexpr int kKeepaliveTimeoutMs = 15'000;

}  // namespace

std::shared_ptr<grpc::Channel> Dial(const std::string& server, const std::string& purpose) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMessageBytesMax);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectMsMin);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kReconnectMsMax);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectMsMax);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  // Channels of equal arguments share a connection.
  arguments.SetString("bitsweep.purpose", purpose);
  return grpc::CreateCustomChannel(server, grpc::InsecureChannelCredentials(), arguments);
}

absl::Status FromGrpc(const grpc::Status& status) {
  // The two sets of codes are one.
  return {static_cast<absl::StatusCode>(status.error_code()), status.error_message()};
}

}  // namespace bitsweep
