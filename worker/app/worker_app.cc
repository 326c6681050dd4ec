#include "worker/app/worker_app.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <random>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include "worker/agent/agent.h"
#include "worker/agent/event_loop.h"
#include "worker/agent/result_journal.h"
#include "worker/app/offer.h"
#include "worker/rpc/grpc_blob_client.h"
#include "worker/rpc/session_client.h"
#include "worker/runtime/process_runner.h"

#include "proto/base/clock.h"
#include "proto/base/status_macros.h"

namespace bitsweep {
namespace {

namespace fs = std::filesystem;

/// Everything that must be there before the agent can start. Members are destroyed from the last to
/// the first: the runner and the client, whose threads use the others, go before them.
struct Worker {
  std::unique_ptr<Cache> cache;
  std::unique_ptr<FileResultJournal> journal;
  std::unique_ptr<Children> children;
  std::unique_ptr<Models> models;
  WorkerOffer offer;
  SystemClock clock;
  EventLoop loop;
  std::unique_ptr<GrpcBlobClient> blobs;
  std::unique_ptr<Transfers> transfers;
  std::unique_ptr<ProcessRunner> runner;
  std::unique_ptr<SessionClient> client;
  std::unique_ptr<Agent> agent;
};

std::string HostName() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "worker";
}

absl::Status Prepare(const WorkerOptions& options, Worker& worker) {
  const std::string folder = fs::absolute(options.cache_dir).lexically_normal();
  BITSWEEP_ASSIGN_OR_RETURN(worker.cache, Cache::Open(folder, options.cache_limit));
  BITSWEEP_ASSIGN_OR_RETURN(worker.journal, FileResultJournal::Open(folder + "/results"));
  worker.children = std::make_unique<Children>(worker.cache->mark());
  if (const int killed = worker.children->KillLeftovers(); killed > 0) {
    spdlog::warn("{} processes of an earlier worker on this folder were still there and are killed",
                 killed);
  }
  std::vector<std::string> roots;
  for (const std::string& root : options.model_roots) {
    roots.push_back(fs::absolute(root).lexically_normal());
  }
  worker.models = std::make_unique<Models>(std::move(roots), folder + "/models.json");
  BITSWEEP_ASSIGN_OR_RETURN(const Tools tools, FindTools(options, *worker.children));
  BITSWEEP_ASSIGN_OR_RETURN(
      worker.offer,
      MakeOffer(
          options, tools, absl::StrCat(HostName(), "-", worker.cache->id()), *worker.children));
  worker.blobs = std::make_unique<GrpcBlobClient>(options.server);
  worker.transfers = std::make_unique<Transfers>(*worker.cache, *worker.blobs);
  const auto post = [&loop = worker.loop](std::function<void()> call) {
    loop.Post(std::move(call));
  };
  worker.runner = std::make_unique<ProcessRunner>(
      Workshop{.cache = *worker.cache,
               .models = *worker.models,
               .children = *worker.children,
               .transfers = *worker.transfers,
               .engine = tools.engine ? tools.engine->path : "",
               .grader = tools.grader ? tools.grader->path : "",
               .hang_after = absl::Minutes(options.hang_after_minutes)},
      post,
      static_cast<int>(worker.offer.gpus.size()));
  worker.client = std::make_unique<SessionClient>(options.server, post);
  return absl::OkStatus();
}

void StartAgent(Worker& worker) {
  std::random_device random;
  AgentOptions options;
  options.offer = [&worker] {
    WorkerOffer offer = worker.offer;
    offer.models = worker.models->List();
    return offer;
  };
  options.jitter_seed = random();
  options.on_registered = [&worker, first = true](WorkerId id) mutable {
    const std::string line =
        absl::StrCat("registered as ", worker.offer.name, " (worker ", id.value(), ")");
    spdlog::info("{}", line);
    if (std::exchange(first, false)) {
      // Scripts wait for this line; everything else goes to standard error.
      std::fprintf(stdout, "%s\n", line.c_str());
      std::fflush(stdout);
    }
  };
  options.on_stopped = [&worker] { worker.loop.Stop(); };
  worker.agent = std::make_unique<Agent>(std::move(options),
                                         *worker.client,
                                         *worker.runner,
                                         *worker.journal,
                                         worker.loop,
                                         worker.clock);
  worker.client->SetListener(worker.agent.get());
  worker.runner->SetListener(worker.agent.get());
  worker.loop.OnStopSignal([&worker, count = 0](int signal) mutable {
    if (++count > 1) {
      spdlog::warn("a second signal: leaving at once");
      std::_Exit(1);  // Children die with this process.
    }
    worker.agent->Stop(signal == SIGTERM ? "SIGTERM" : "SIGINT");
  });
  worker.loop.Post([&worker] { worker.agent->Start(); });
}

}  // namespace

int RunWorker(const WorkerOptions& options) {
  spdlog::set_default_logger(spdlog::stderr_color_mt("worker"));
  spdlog::set_level(spdlog::level::from_str(options.log_level));
  std::signal(SIGPIPE, SIG_IGN);
  Worker worker;
  if (const absl::Status status = Prepare(options, worker); !status.ok()) {
    spdlog::error("{}", std::string(status.message()));
    return 1;
  }
  std::vector<std::string> stages;
  for (const StageKind kind : worker.offer.stages) {
    stages.emplace_back(ToString(kind));
  }
  spdlog::info("{} offers {} with {} cores, {} slots, {} GPUs, isolation \"{}\"",
               worker.offer.name,
               absl::StrJoin(stages, ", "),
               worker.offer.cores,
               worker.offer.slots,
               worker.offer.gpus.size(),
               worker.offer.isolation);
  StartAgent(worker);
  worker.loop.Run();
  spdlog::info("stopped");
  return 0;
}

}  // namespace bitsweep
