// The connection to the coordinator. It is opened by the first call, never by `--help` or a wrong
// command line, because starting gRPC costs more than most of what the tool does without it. Every
// unary call has a deadline and turns gRPC's failures into messages that name the address and what
// to do. Runs on: the thread that made it; Stream is read from one thread and cancelled from any.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>
#include <grpcpp/grpcpp.h>

#include "bitsweep/v1/artifacts.grpc.pb.h"
#include "bitsweep/v1/results.grpc.pb.h"
#include "bitsweep/v1/sweeps.grpc.pb.h"
#include "cli/address.h"

namespace bitsweep::cli {

// A coordinator answers in milliseconds; a person will not wait longer to learn that the address is
// wrong.
inline constexpr absl::Duration kCallTimeout = absl::Seconds(5);
// Planning a large grid and rendering its tables may take the coordinator longer.
inline constexpr absl::Duration kLongCallTimeout = absl::Seconds(60);

class Client {
 public:
  /// Does no I/O. INVALID_ARGUMENT: a malformed address.
  static absl::StatusOr<std::unique_ptr<Client>> Make(const std::string& server);

  /// One unary call, e.g. `client.Call(client.sweeps(), &v1::Sweeps::Stub::Get, request)`.
  /// UNAVAILABLE names host:port, what answers there and how to choose another; everything else is
  /// the coordinator's own.
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Call(Stub& stub,
                                grpc::Status (Stub::*method)(grpc::ClientContext*,
                                                             const Request&,
                                                             Response*),
                                const Request& request,
                                absl::Duration timeout = kCallTimeout) {
    grpc::ClientContext context;
    SetDeadline(context, timeout);
    Response response;
    const grpc::Status status = (stub.*method)(&context, request, &response);
    if (!status.ok()) {
      return Explain(status);
    }
    return response;
  }

  v1::Sweeps::Stub& sweeps();
  v1::Results::Stub& results();
  v1::Artifacts::Stub& artifacts();

  /// The failure in our words. REQUIRES: `status` is not OK.
  absl::Status Explain(const grpc::Status& status) const;
  const Address& address() const { return address_; }

  static void SetDeadline(grpc::ClientContext& context, absl::Duration timeout);

 private:
  explicit Client(Address address) : address_(std::move(address)) {}
  const std::shared_ptr<grpc::Channel>& Open();

  Address address_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Sweeps::Stub> sweeps_;
  std::unique_ptr<v1::Results::Stub> results_;
  std::unique_ptr<v1::Artifacts::Stub> artifacts_;
};

/// Whether trying the same call again may help: the coordinator was not there, or did not answer in
/// time.
bool IsConnectionLoss(const absl::Status& status);

}  // namespace bitsweep::cli
