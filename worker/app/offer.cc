#include "worker/app/offer.h"

#include <algorithm>
#include <filesystem>
#include <spdlog/spdlog.h>

#include <absl/strings/str_cat.h>

#include "bitsweep_generated/build_id.h"

#include "proto/base/status_macros.h"

namespace bitsweep {
namespace {

namespace fs = std::filesystem;

absl::StatusOr<std::optional<Tool>> FindTool(const std::string& named,
                                             const std::string& usual_name,
                                             Children& children) {
  std::error_code error;
  const fs::path beside = fs::read_symlink("/proc/self/exe", error).parent_path() / usual_name;
  const std::string path = named.empty() ? beside.string() : fs::absolute(named).string();
  if (named.empty() && !fs::exists(path, error)) {
    spdlog::info("no {} beside this binary: its stages are not offered", usual_name);
    return std::nullopt;
  }
  absl::StatusOr<Tool> tool = AskTool(children, path);
  if (tool.ok()) {
    spdlog::info("{}: version {}, build {}", path, tool->version, tool->build);
    return *std::move(tool);
  }
  if (!named.empty()) {
    return tool.status();
  }
  spdlog::warn("{} does not answer, its stages are not offered: {}",
               path,
               std::string(tool.status().message()));
  return std::nullopt;
}

/// Sets the isolation that is offered: the one that was asked for, or the best that works.
absl::Status SetIsolation(const WorkerOptions& options, Children& children, WorkerOffer& offer) {
  if (options.isolation == "none") {
    offer.isolation = "none";
  } else if (HasBubblewrap(children)) {
    offer.isolation = "bubblewrap";
  } else if (options.isolation == "bubblewrap") {
    return absl::FailedPreconditionError(
        "--isolation bubblewrap: it does not work on this machine");
  } else {
    spdlog::warn(
        "no sandbox works here, so grade is not offered; --isolation none would run generated "
        "programs without one");
  }
  return absl::OkStatus();
}

/// The machine's GPUs, as far as the engine can use them.
std::vector<GpuOffer> UsableGpus(const Tool& engine, Children& children) {
  std::vector<GpuOffer> gpus = Gpus(children);
  const auto usable = static_cast<std::size_t>(engine.gpus.value_or(static_cast<int>(gpus.size())));
  if (gpus.size() > usable) {
    spdlog::warn("the engine can use {} of {} GPUs: is it built for CUDA?", usable, gpus.size());
    gpus.resize(usable);
  }
  return gpus;
}

/// The kinds that the tools of this machine can run, in the order of the contract.
std::vector<StageKind> PossibleStages(const WorkerOptions& options,
                                      const Tools& tools,
                                      const WorkerOffer& offer) {
  std::vector<StageKind> kinds;
  for (const StageKind kind : kStageKinds) {
    const std::optional<Tool>& tool = kind == StageKind::kGrade ? tools.grader : tools.engine;
    const bool known = tool && tool->semantics.contains(std::string(ToString(kind)));
    const bool sandboxed = kind != StageKind::kGrade || !offer.isolation.empty();
    const bool has_models = kind != StageKind::kInspect || !options.model_roots.empty();
    if (known && sandboxed && has_models) {
      kinds.push_back(kind);
    }
  }
  return kinds;
}

}  // namespace

absl::StatusOr<Tools> FindTools(const WorkerOptions& options, Children& children) {
  Tools tools;
  BITSWEEP_ASSIGN_OR_RETURN(tools.engine, FindTool(options.engine, "bitsweep-engine", children));
  BITSWEEP_ASSIGN_OR_RETURN(tools.grader, FindTool(options.grader, "bitsweep-grade", children));
  return tools;
}

absl::StatusOr<WorkerOffer> MakeOffer(const WorkerOptions& options,
                                      const Tools& tools,
                                      const std::string& default_name,
                                      Children& children) {
  WorkerOffer offer;
  offer.name = options.name.empty() ? default_name : options.name;
  offer.version = kVersion;
  offer.build = kBuildId;
  offer.host_bytes = HostBytes();
  offer.cores = options.cores == 0 ? Cores() : options.cores;
  offer.slots = options.slots;
  offer.labels = options.labels;
  if (tools.engine) {
    offer.gpus = UsableGpus(*tools.engine, children);
  }
  if (tools.grader) {
    BITSWEEP_RETURN_IF_ERROR(SetIsolation(options, children, offer));
  }
  const std::vector<StageKind> possible = PossibleStages(options, tools, offer);
  for (const StageKind kind : possible) {
    // Inspect costs little and every study begins with it: whoever has models offers it.
    const bool asked =
        options.stages.empty() || kind == StageKind::kInspect ||
        std::find(options.stages.begin(), options.stages.end(), kind) != options.stages.end();
    if (asked) {
      const std::optional<Tool>& tool = kind == StageKind::kGrade ? tools.grader : tools.engine;
      offer.stages.push_back(kind);
      offer.semantics[std::string(ToString(kind))] =
          tool->semantics.at(std::string(ToString(kind)));
    }
  }
  for (const StageKind kind : options.stages) {
    if (std::find(possible.begin(), possible.end(), kind) == possible.end()) {
      spdlog::warn("--stages {}: this machine's tools cannot run it", std::string(ToString(kind)));
    }
  }
  if (offer.stages.empty()) {
    return absl::FailedPreconditionError(
        "there is no stage to offer: neither bitsweep-engine nor bitsweep-grade can be used here");
  }
  return offer;
}

}  // namespace bitsweep
