#include "coordinator/rpc/server.h"

#include <atomic>

#include <absl/strings/str_cat.h>
#include <grpcpp/health_check_service_interface.h>

#include "coordinator/rpc/services.h"
#include "proto/contract/limits.h"

namespace bitsweep {
namespace {

// How long calls in progress may take to end by themselves when the server stops.
constexpr absl::Duration kStopGrace = absl::Seconds(1);

}  // namespace

struct RpcServer::Impl {
  explicit Impl(Backend& backend)
      : sessions(backend), artifacts(backend), sweeps(backend, stopping), results(backend) {}

  std::atomic<bool> stopping{false};
  WorkerSessionsService sessions;
  ArtifactsService artifacts;
  SweepsService sweeps;
  ResultsService results;
  std::unique_ptr<grpc::Server> server;
  std::string address;
};

RpcServer::RpcServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

RpcServer::~RpcServer() { Stop(); }

const std::string& RpcServer::address() const { return impl_->address; }

void RpcServer::Stop() {
  if (impl_->server) {
    impl_->stopping = true;
    impl_->server->Shutdown(absl::ToChronoTime(absl::Now() + kStopGrace));
    impl_->server.reset();
  }
}

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Start(const std::string& address, Backend& backend) {
  grpc::EnableDefaultHealthCheckService(true);
  auto impl = std::make_unique<Impl>(backend);
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port);
  // Two servers on one port would share its connections silently.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // A worker's machine may vanish without a word: its stream is found dead by pings rather than by the next send.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, static_cast<int>(absl::ToInt64Milliseconds(kWorkerLostAfter)));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, static_cast<int>(absl::ToInt64Milliseconds(kWorkerLostAfter)));
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 1000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.RegisterService(&impl->sessions);
  builder.RegisterService(&impl->artifacts);
  builder.RegisterService(&impl->sweeps);
  builder.RegisterService(&impl->results);
  impl->server = builder.BuildAndStart();
  if (!impl->server || port == 0) {
    return absl::UnavailableError(absl::StrCat("cannot listen on ", address,
                                               ": the port is taken, or the address is not this machine's; choose another "
                                               "with --listen (port 0 takes a free one)"));
  }
  impl->address = absl::StrCat(address.substr(0, address.rfind(':')), ":", port);
  return std::unique_ptr<RpcServer>(new RpcServer(std::move(impl)));
}

}  // namespace bitsweep
