// A small HTTP/1.1 server on Boost.Beast: /metrics, /healthz, the page and its JSON. GET and HEAD only, loopback by default.
// Thread rule: Start and Stop from one thread; the routes' handlers run on the server's own thread and must be thread-safe.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include <absl/status/statusor.h>

namespace bitsweep {

struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

/// `path` is the request's target without its query, percent-decoding not applied (no route needs it).
using HttpHandler = std::function<HttpResponse(const std::string& path)>;

class HttpServer {
 public:
  /// Binds `address` ("HOST:PORT"; port 0 takes a free one) and serves from a thread of its own.
  /// INVALID_ARGUMENT: the address does not parse. UNAVAILABLE: it cannot be bound (the message says why).
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const std::string& address, HttpHandler handler);
  ~HttpServer();  // Stops and joins.

  /// "HOST:PORT" with the port that was bound.
  const std::string& address() const;

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bitsweep
