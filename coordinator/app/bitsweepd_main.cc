// bitsweepd: the coordinator. Wires the rooms together; what happens is decided in them.

#include <csignal>
#include <iostream>
#include <string>

#include <CLI/CLI.hpp>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include "bitsweep_generated/build_id.h"
#include "coordinator/app/coordinator.h"
#include "coordinator/app/web_routes.h"
#include "coordinator/rpc/server.h"
#include "coordinator/web/http_server.h"

namespace bitsweep {
namespace {

struct Options {
  std::string data_dir = "bitsweep-data";
  std::string listen = "127.0.0.1:7471";
  std::string http;
  std::string log_level = "info";
};

int Fail(const absl::Status& status) {
  spdlog::critical("{}", std::string(status.message()));
  return 1;
}

int Run(const Options& options) {
  // Blocked before any thread starts, so that every thread inherits it and only sigwait below sees the signal.
  sigset_t stop_signals;
  sigemptyset(&stop_signals);
  sigaddset(&stop_signals, SIGTERM);
  sigaddset(&stop_signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &stop_signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  const SystemClock clock;
  absl::StatusOr<std::unique_ptr<Coordinator>> coordinator = Coordinator::Open(options.data_dir, clock);
  if (!coordinator.ok()) {
    return Fail(coordinator.status());
  }
  std::unique_ptr<HttpServer> http;
  if (!options.http.empty()) {
    absl::StatusOr<std::unique_ptr<HttpServer>> started = HttpServer::Start(options.http, MakeRoutes(**coordinator));
    if (!started.ok()) {
      return Fail(started.status());
    }
    http = *std::move(started);
    spdlog::info("serving http on {}", http->address());
  }
  absl::StatusOr<std::unique_ptr<RpcServer>> rpc = RpcServer::Start(options.listen, **coordinator);
  if (!rpc.ok()) {
    return Fail(rpc.status());
  }
  spdlog::info("bitsweepd {} ({}), data in {}", kVersion, kBuildId, options.data_dir);
  spdlog::info("listening on {}", (*rpc)->address());

  int signal = 0;
  sigwait(&stop_signals, &signal);
  spdlog::info("{}: stopping", signal == SIGTERM ? "SIGTERM" : "SIGINT");
  // Order: nobody new comes in, open calls end, then the strand commits what was posted and the database is closed.
  http.reset();
  rpc->reset();
  coordinator->reset();
  spdlog::info("stopped");
  return 0;
}

}  // namespace
}  // namespace bitsweep

int main(int argc, char** argv) {
  bitsweep::Options options;
  CLI::App app{"bitsweepd: plans, schedules and stores sweeps; workers and the bitsweep command connect to it"};
  app.add_option("--data-dir", options.data_dir, "database and blobs; one coordinator at a time")->capture_default_str();
  app.add_option("--listen", options.listen, "gRPC, HOST:PORT; port 0 takes a free one")->capture_default_str();
  app.add_option("--http", options.http, "page, /metrics and /healthz, HOST:PORT; none without this option");
  app.add_option("--log-level", options.log_level, "debug, info, warning or error")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
      ->capture_default_str();
  app.set_version_flag("--version", std::string("bitsweepd ") + bitsweep::kVersion + " (" + bitsweep::kBuildId + ")");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  spdlog::set_default_logger(spdlog::stderr_color_mt("bitsweepd"));
  spdlog::set_level(spdlog::level::from_str(options.log_level));
  spdlog::flush_on(spdlog::level::info);
  return bitsweep::Run(options);
}
