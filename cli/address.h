// HOST:PORT as a user writes it, and what answers there when the coordinator does not. gRPC's own
// messages for a wrong port ("failed to connect to all addresses") do not say what to do; these do.
// Free functions without state: any thread.
#pragma once

#include <string>
#include <string_view>

#include <absl/status/statusor.h>
#include <absl/time/time.h>

namespace bitsweep::cli {

inline constexpr const char* kDefaultServer = "127.0.0.1:7471";

struct Address {
  std::string host;
  int port = 0;
  std::string text() const;  // host:port, an IPv6 host in brackets
};

/// INVALID_ARGUMENT: a scheme, no port, or a port outside 1..65535; the message shows an example.
absl::StatusOr<Address> ParseAddress(const std::string& text);

/// What is found at an address.
struct Answer {
  bool plausible = false;   // It may be a coordinator: not HTTP/1, and it did not hang up.
  bool vacant = false;      // Nothing listens: a coordinator could be started there.
  std::string description;  // One clause: "nothing listens there (connection refused)".
};

/// Connects by itself, without gRPC, and gives up after `timeout`.
Answer FindWhatAnswers(const Address& address, absl::Duration timeout);

}  // namespace bitsweep::cli
