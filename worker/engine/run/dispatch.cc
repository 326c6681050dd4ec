#include "worker/engine/run/dispatch.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <optional>
#include <sys/resource.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <ATen/Parallel.h>

#include "bitsweep_generated/semantics.h"
#include "worker/engine/error.h"
#include "worker/engine/run/failure.h"
#include "worker/engine/run/gpu_telemetry.h"
#include "worker/engine/run/stage_spec.h"

namespace bitsweep::engine {
namespace {

namespace fs = std::filesystem;

std::int64_t PeakMemoryBytes() {
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);
  constexpr std::int64_t kKibibyte = 1024;  // Linux counts ru_maxrss in KiB.
  return usage.ru_maxrss * kKibibyte;
}

std::vector<std::string> Kinds(const StageRegistry& stages) {
  std::vector<std::string> kinds;
  for (const auto& [kind, run] : stages.stages()) {
    kinds.push_back(kind);
  }
  return kinds;
}

nlohmann::json RunStage(const StageSpec& spec, const StageRegistry& stages, Events& events) {
  const auto stage = stages.stages().find(spec.kind);
  if (stage == stages.stages().end()) {
    ThrowBadInput(spec.where + ": /kind: '" + spec.kind +
                  "' is not implemented by this engine; implemented are inspect, quantize, "
                  "finetune, generate");
  }
  at::set_num_threads(spec.threads);
  const auto start = std::chrono::steady_clock::now();
  std::optional<GpuTelemetry> telemetry;
  if (spec.numerics.device == "cuda") {
    const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
    telemetry.emplace(events,
                      visible == nullptr ? "" : visible,
                      GpuTelemetry::kLibrary,
                      GpuTelemetry::kInterval,
                      spec.numerics.devices);
  }
  nlohmann::json summary = stage->second(spec, events);
  if (telemetry) {
    summary.update(telemetry->Finish());
  }
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  if (!summary.contains("seconds")) {
    summary["seconds"] = elapsed.count();
  }
  if (!summary.contains("peak_memory_bytes")) {
    summary["peak_memory_bytes"] = PeakMemoryBytes();
  }
  return summary;
}

/// A folder under TMPDIR that goes away with the object.
class TemporaryFolder {
 public:
  TemporaryFolder() : path_((fs::temp_directory_path() / "bitsweep-engine-XXXXXX").string()) {
    if (::mkdtemp(path_.data()) == nullptr) {
      ThrowWriteError(path_ + ": cannot create a temporary folder", errno);
    }
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Runs `body`; an exception becomes a `failed` event, a line on stderr and the exit code.
int Guard(Events& events, const std::function<void()>& body) {
  try {
    body();
    return kExitDone;
  } catch (...) {
    const Failure failure = ClassifyException(std::current_exception());
    // The reader of the events may be what failed; the message must reach stderr all the same.
    try {
      events.Failed(failure.failure, failure.message);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "bitsweep-engine: %s\n", error.what());
    }
    std::fprintf(stderr,
                 "bitsweep-engine: %s: %s\n",
                 FailureClassName(failure.failure),
                 failure.message.c_str());
    return kExitFailed;
  }
}

}  // namespace

std::string AbsolutePath(const std::string& path) {
  if (path.empty()) {
    return path;
  }
  const fs::path normal = fs::absolute(path).lexically_normal();
  // "." and "folder/" end in a slash, which is not part of a folder's name.
  return normal.has_filename() ? normal.string() : normal.parent_path().string();
}

nlohmann::json BuildSpec(const StageRequest& request,
                         const std::string& output_dir,
                         const CommonOptions& options) {
  nlohmann::json spec = request.members;
  spec["protocol"] = kProtocol;
  spec["kind"] = request.kind;
  spec["semantics"] = SemanticsOf(request.kind);
  spec["numerics"] = {{"device", options.numerics.device}, {"dtype", options.numerics.dtype}};
  if (options.numerics.devices > 0) {
    spec["numerics"]["devices"] = options.numerics.devices;
  }
  spec["threads"] = options.threads;
  spec["seed"] = request.seed;
  spec["output"] = {{"dir", output_dir}};
  return spec;
}

int RunSpecFile(const std::string& path, int events_fd, const StageRegistry& stages) {
  Events events(events_fd);
  return Guard(events, [&] {
    events.Hello(Kinds(stages));
    const StageSpec spec = ReadStageSpec(path);
    events.Done(RunStage(spec, stages, events));
  });
}

int RunStageVerb(const StageVerb& verb, const CommonOptions& options, const StageRegistry& stages) {
  Events events(options.events_fd, ::isatty(STDERR_FILENO) == 1);
  return Guard(events, [&] {
    const StageRequest request = verb();
    if (options.print_spec) {
      const std::string output_dir = request.output_dir.empty() ? "." : request.output_dir;
      std::printf("%s\n", BuildSpec(request, AbsolutePath(output_dir), options).dump(2).c_str());
      return;
    }
    events.Hello(Kinds(stages));
    std::optional<TemporaryFolder> temporary;
    std::string output_dir = AbsolutePath(request.output_dir);
    if (output_dir.empty()) {
      output_dir = temporary.emplace().path();
    }
    fs::create_directories(output_dir);
    const StageSpec spec = ParseStageSpec(BuildSpec(request, output_dir, options), "command line");
    const nlohmann::json summary = RunStage(spec, stages, events);
    if (request.finish) {
      request.finish(summary, output_dir);
    }
    events.Done(summary);
  });
}

int RunDirectVerb(const DirectVerb& verb, const CommonOptions& options) {
  Events events(options.events_fd, ::isatty(STDERR_FILENO) == 1);
  return Guard(events, [&] {
    at::set_num_threads(options.threads);
    verb(VerbContext{options.numerics, options.threads, events});
  });
}

}  // namespace bitsweep::engine
