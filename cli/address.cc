#include "cli/address.h"

#include <cerrno>
#include <cstring>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>

namespace bitsweep::cli {
namespace {

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  ~Socket() {
    if (fd_ >= 0) {
      close(fd_);
    }
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

// Waits until `fd` has `events`; false at the deadline.
bool WaitFor(int fd, short events, absl::Time deadline) {
  pollfd entry{fd, events, 0};
  const auto left = absl::ToInt64Milliseconds(deadline - absl::Now());
  return left > 0 && poll(&entry, 1, static_cast<int>(left)) == 1;
}

// 0, or the errno with which connecting ended; ETIMEDOUT at the deadline.
int Connect(int fd, const addrinfo& to, absl::Time deadline) {
  if (connect(fd, to.ai_addr, to.ai_addrlen) == 0) {
    return 0;
  }
  if (errno != EINPROGRESS) {
    return errno;
  }
  if (!WaitFor(fd, POLLOUT, deadline)) {
    return ETIMEDOUT;
  }
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

Answer DescribeListener(int fd, absl::Time deadline) {
  // An HTTP/1 server answers this with a status line; an HTTP/2 one sends its settings frame or
  // hangs up.
  constexpr std::string_view kProbe = "GET /healthz HTTP/1.0\r\n\r\n";
  (void)send(fd, kProbe.data(), kProbe.size(), MSG_NOSIGNAL);
  char answer[5] = {};
  if (!WaitFor(fd, POLLIN, deadline)) {
    return {true, false, "something listens there but does not answer"};
  }
  const auto got = recv(fd, answer, sizeof answer, 0);
  if (got == static_cast<ssize_t>(sizeof answer) && std::memcmp(answer, "HTTP/", 5) == 0) {
    return {false,
            false,
            "an HTTP server answers there, not a coordinator (its --http page has another port "
            "than its --listen)"};
  }
  if (got > 0) {
    return {true, false, "a server is there but did not carry out the call in time"};
  }
  return {false, false, "something listens there but hangs up: it is no coordinator"};
}

}  // namespace

std::string Address::text() const {
  return absl::StrContains(host, ':') ? absl::StrCat("[", host, "]:", port)
                                      : absl::StrCat(host, ":", port);
}

absl::StatusOr<Address> ParseAddress(const std::string& text) {
  const auto wrong = [&](const std::string& why) {
    return absl::InvalidArgumentError(absl::StrCat(
        "server address '", text, "': ", why, "; it is HOST:PORT, as in ", kDefaultServer));
  };
  if (absl::StrContains(text, "://")) {
    return wrong("it has a scheme");
  }
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0) {
    return wrong(colon == 0 ? "it has no host" : "it has no port");
  }
  Address address;
  std::string host = text.substr(0, colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) {
    host = host.substr(1, host.size() - 2);
  }
  if (!bracketed && absl::StrContains(host, ':')) {
    return wrong("an IPv6 host needs brackets");
  }
  address.host = host;
  if (!absl::SimpleAtoi(text.substr(colon + 1), &address.port) || address.port < 1 ||
      address.port > 65535) {
    return wrong(absl::StrCat("port '", text.substr(colon + 1), "' is not in 1..65535"));
  }
  return address;
}

Answer FindWhatAnswers(const Address& address, absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const std::string port = absl::StrCat(address.port);
  if (const int failed = getaddrinfo(address.host.c_str(), port.c_str(), &hints, &found);
      failed != 0) {
    return {false,
            false,
            absl::StrCat("no host is called '", address.host, "' (", gai_strerror(failed), ")")};
  }
  int error = 0;
  Answer answer;
  for (const addrinfo* to = found; to != nullptr && answer.description.empty(); to = to->ai_next) {
    const Socket socket(
        ::socket(to->ai_family, to->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, to->ai_protocol));
    error = socket.fd() < 0 ? errno : Connect(socket.fd(), *to, deadline);
    if (error == 0) {
      answer = DescribeListener(socket.fd(), deadline);
    }
  }
  freeaddrinfo(found);
  if (answer.description.empty()) {
    answer.vacant = error == ECONNREFUSED;
    answer.description = error == ECONNREFUSED ? "nothing listens there (connection refused)"
                         : error == ETIMEDOUT  ? "no answer"
                                               : strerror(error);
  }
  return answer;
}

}  // namespace bitsweep::cli
