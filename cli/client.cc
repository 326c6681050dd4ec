#include "cli/client.h"

#include <chrono>
#include <cstdlib>

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

namespace bitsweep::cli {
namespace {

// How long we look for ourselves at what answers at the address, after gRPC has given up.
constexpr absl::Duration kProbeTimeout = absl::Seconds(1);

bool IsLoopback(const Address& address) {
  return absl::StartsWith(address.host, "127.") || address.host == "localhost" ||
         address.host == "::1";
}

}  // namespace

absl::StatusOr<std::unique_ptr<Client>> Client::Make(const std::string& server) {
  auto address = ParseAddress(server);
  if (!address.ok()) {
    return address.status();
  }
  return std::unique_ptr<Client>(new Client(*std::move(address)));
}

const std::shared_ptr<grpc::Channel>& Client::Open() {
  if (channel_ == nullptr) {
    // gRPC logs every failed connection to standard error; the failure is reported once, by us.
    setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
    grpc::ChannelArguments arguments;
    // A coordinator is reached directly: a proxy for the web (http_proxy) would only break loopback
    // addresses.
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    // A restarted coordinator is found again within a second.
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 200);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20000);
    arguments.SetMaxReceiveMessageSize(64 << 20);
    channel_ =
        grpc::CreateCustomChannel(address_.text(), grpc::InsecureChannelCredentials(), arguments);
  }
  return channel_;
}

v1::Sweeps::Stub& Client::sweeps() {
  if (sweeps_ == nullptr) {
    sweeps_ = v1::Sweeps::NewStub(Open());
  }
  return *sweeps_;
}

v1::Results::Stub& Client::results() {
  if (results_ == nullptr) {
    results_ = v1::Results::NewStub(Open());
  }
  return *results_;
}

v1::Artifacts::Stub& Client::artifacts() {
  if (artifacts_ == nullptr) {
    artifacts_ = v1::Artifacts::NewStub(Open());
  }
  return *artifacts_;
}

void Client::SetDeadline(grpc::ClientContext& context, absl::Duration timeout) {
  context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(timeout));
}

absl::Status Client::Explain(const grpc::Status& status) const {
  const auto code = static_cast<absl::StatusCode>(status.error_code());
  if (code == absl::StatusCode::kUnimplemented) {
    return absl::UnimplementedError(absl::StrCat(
        "the server at ",
        address_.text(),
        " does not know this call (",
        status.error_message(),
        ")\nIt is no bitsweep coordinator, or one of another version: see `bitsweep version`."));
  }
  if (code != absl::StatusCode::kUnavailable && code != absl::StatusCode::kDeadlineExceeded) {
    return absl::Status(code, status.error_message());
  }
  const Answer answer = FindWhatAnswers(address_, kProbeTimeout);
  // A coordinator that stops or is overloaded says so itself; then its words are the better ones.
  const bool own_words = answer.plausible && code == absl::StatusCode::kUnavailable;
  const std::string start =
      answer.vacant && IsLoopback(address_)
          ? absl::StrCat(", or start one: bitsweepd --data-dir DIR --listen ", address_.text())
          : ".";
  return absl::Status(code,
                      absl::StrCat("cannot reach a coordinator at ",
                                   address_.text(),
                                   ": ",
                                   own_words ? status.error_message() : answer.description,
                                   "\nChoose another with --server HOST:PORT or BITSWEEP_SERVER",
                                   start));
}

bool IsConnectionLoss(const absl::Status& status) {
  return status.code() == absl::StatusCode::kUnavailable ||
         status.code() == absl::StatusCode::kDeadlineExceeded;
}

}  // namespace bitsweep::cli
