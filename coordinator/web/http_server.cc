#include "coordinator/web/http_server.h"

#include <chrono>
#include <optional>
#include <thread>
#include <utility>

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/strand.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include "proto/base/status_macros.h"

namespace bitsweep {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using tcp = asio::ip::tcp;

// A client that sends nothing for this long is dropped, so that idle connections do not pile up.
constexpr std::chrono::seconds kIdleTimeout{30};
// Requests have no body that we read; headers beyond this are refused by the parser.
constexpr std::uint32_t kHeaderBytesMax = 16 << 10;

/// One connection: reads a request, answers, and again while the client keeps it open.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket socket, const HttpHandler& handler) : stream_(std::move(socket)), handler_(handler) {}

  void Read() {
    parser_.emplace();
    parser_->header_limit(kHeaderBytesMax);
    parser_->body_limit(0);
    stream_.expires_after(kIdleTimeout);
    http::async_read(stream_, buffer_, *parser_, [self = shared_from_this()](beast::error_code error, std::size_t) {
      if (error) {
        return self->Close();
      }
      self->Answer();
    });
  }

 private:
  void Answer() {
    const http::request<http::empty_body>& request = parser_->get();
    response_ = {};
    response_.version(request.version());
    response_.keep_alive(request.keep_alive());
    response_.set(http::field::server, "bitsweepd");
    response_.set(http::field::cache_control, "no-store");
    // The page loads nothing from elsewhere and may be framed by nobody.
    response_.set("Content-Security-Policy", "default-src 'self'; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'");
    response_.set("X-Content-Type-Options", "nosniff");
    HttpResponse answer;
    if (request.method() != http::verb::get && request.method() != http::verb::head) {
      answer = {405, "text/plain; charset=utf-8", "only GET and HEAD are served\n"};
      response_.set(http::field::allow, "GET, HEAD");
    } else {
      const std::string target(request.target());
      answer = handler_(target.substr(0, target.find('?')));
    }
    response_.result(static_cast<unsigned>(answer.status));
    response_.set(http::field::content_type, answer.content_type);
    response_.content_length(answer.body.size());
    if (request.method() != http::verb::head) {
      response_.body() = std::move(answer.body);
    }
    const bool keep_alive = response_.keep_alive();
    http::async_write(stream_, response_, [self = shared_from_this(), keep_alive](beast::error_code error, std::size_t) {
      if (error || !keep_alive) {
        return self->Close();
      }
      self->Read();
    });
  }

  void Close() {
    beast::error_code ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
  }

  beast::tcp_stream stream_;
  const HttpHandler& handler_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::empty_body>> parser_;
  http::response<http::string_body> response_;
};

absl::StatusOr<tcp::endpoint> ParseEndpoint(asio::io_context& context, const std::string& address) {
  const std::size_t colon = address.rfind(':');
  int port = 0;
  if (colon == std::string::npos || !absl::SimpleAtoi(address.substr(colon + 1), &port) || port < 0 || port > 65535) {
    return absl::InvalidArgumentError(absl::StrCat("\"", address, "\" is not HOST:PORT (port 0 to 65535)"));
  }
  beast::error_code error;
  const auto results = tcp::resolver(context).resolve(address.substr(0, colon), address.substr(colon + 1), error);
  if (error || results.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("host of \"", address, "\" cannot be resolved: ", error.message()));
  }
  return results.begin()->endpoint();
}

}  // namespace

struct HttpServer::Impl {
  explicit Impl(HttpHandler h) : handler(std::move(h)), acceptor(context) {}

  void Accept() {
    acceptor.async_accept([this](beast::error_code error, tcp::socket socket) {
      if (error == asio::error::operation_aborted) {
        return;
      }
      if (!error) {
        std::make_shared<Connection>(std::move(socket), handler)->Read();
      }
      Accept();
    });
  }

  HttpHandler handler;
  asio::io_context context{1};
  tcp::acceptor acceptor;
  std::string address;
  std::thread thread;
};

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

HttpServer::~HttpServer() {
  impl_->context.stop();
  impl_->thread.join();
}

const std::string& HttpServer::address() const { return impl_->address; }

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const std::string& address, HttpHandler handler) {
  auto impl = std::make_unique<Impl>(std::move(handler));
  BITSWEEP_ASSIGN_OR_RETURN(const tcp::endpoint endpoint, ParseEndpoint(impl->context, address));
  beast::error_code error;
  impl->acceptor.open(endpoint.protocol(), error);
  if (!error) {
    impl->acceptor.set_option(asio::socket_base::reuse_address(true), error);
  }
  if (!error) {
    impl->acceptor.bind(endpoint, error);
  }
  if (!error) {
    impl->acceptor.listen(asio::socket_base::max_listen_connections, error);
  }
  if (error) {
    return absl::UnavailableError(absl::StrCat("cannot listen on ", address, ": ", error.message()));
  }
  impl->address = absl::StrCat(address.substr(0, address.rfind(':')), ":", impl->acceptor.local_endpoint().port());
  impl->Accept();
  Impl* running = impl.get();
  impl->thread = std::thread([running] { running->context.run(); });
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

}  // namespace bitsweep
