#include "worker/engine/run/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <list>
#include <string>
#include <thread>
#include <unistd.h>

#include <ATen/Context.h>
#include <torch/version.h>

#include "bitsweep_generated/build_id.h"
#include "bitsweep_generated/semantics.h"
#include "worker/engine/run/dispatch.h"
#include "worker/engine/run/stage_spec.h"

namespace bitsweep::engine {
namespace {

int AllCores() {
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

nlohmann::json DescribeVersion(const StageRegistry& stages) {
  nlohmann::json semantics = nlohmann::json::object();
  for (const auto& [kind, run] : stages.stages()) {
    semantics[kind] = SemanticsOf(kind);
  }
  nlohmann::json devices = nlohmann::json::array({"cpu"});
  const int gpus = at::hasCUDA() ? at::detail::getCUDAHooks().getNumGPUs() : 0;
  for (int i = 0; i < gpus; ++i) {
    devices.push_back("cuda:" + std::to_string(i));
  }
  return {{"tool", "bitsweep-engine"},
          {"version", kVersion},
          {"build", kBuildId},
          {"protocol", kProtocol},
          {"semantics", semantics},
          {"torch", TORCH_VERSION},
          {"devices", devices},
          {"cpu_threads", AllCores()}};
}

void PrintVersion(const StageRegistry& stages, const std::string& output) {
  const nlohmann::json version = DescribeVersion(stages);
  if (output == "json") {
    std::printf("%s\n", version.dump(2).c_str());
    return;
  }
  std::printf("bitsweep-engine %s (build %s)\n", kVersion, kBuildId);
  for (const char* key : {"protocol", "semantics", "torch", "devices", "cpu_threads"}) {
    std::printf("%-12s %s\n", key, version[key].dump().c_str());
  }
}

// One verb of the registry with its subcommand and, after parsing, what to run.
struct BoundVerb {
  CLI::App* app = nullptr;
  CommonOptions options;
  DirectVerb direct;
  StageVerb stage;
};

void AddCommonOptions(CLI::App& app, CommonOptions* options) {
  options->threads = AllCores();
  app.add_option("--device", options->numerics.device, "cpu or cuda")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->capture_default_str();
  app.add_option("--dtype", options->numerics.dtype, "f32, f16 or bf16")
      ->check(CLI::IsMember({"f32", "f16", "bf16"}))
      ->capture_default_str();
  app.add_option("--devices",
                 options->numerics.devices,
                 "How many of the visible GPUs, for verbs that use several (default: all)")
      ->check(CLI::Range(1, 64));
  app.add_option("--threads", options->threads, "CPU threads (default: all cores)")
      ->check(CLI::Range(1, 4096));
  app.add_option("--events", options->events_fd, "Write events as JSON lines to this descriptor")
      ->check(CLI::NonNegativeNumber);
}

void BindVerbs(const VerbRegistry& verbs, CLI::App& root, std::list<BoundVerb>* bound) {
  for (const VerbRegistry::Verb& verb : verbs.verbs()) {
    BoundVerb& row = bound->emplace_back();
    row.app = root.add_subcommand(verb.name, verb.description);
    if (verb.direct) {
      row.direct = verb.direct(*row.app);
    } else {
      row.stage = verb.stage(*row.app);
      row.app->add_flag(
          "--print-spec", row.options.print_spec, "Print the stage spec instead of running it");
    }
    AddCommonOptions(*row.app, &row.options);
  }
}

}  // namespace

int RunCommandLine(int argc,
                   const char* const* argv,
                   const VerbRegistry& verbs,
                   const StageRegistry& stages) {
  CLI::App root(
      "Quantizes and runs Llama-architecture models: the stages of a bitsweep study, one per "
      "process",
      "bitsweep-engine");
  root.require_subcommand(0, 1);
  bool print_version = false;
  root.add_flag("--version", print_version, "Print version, build, semantics, torch and devices");

  CLI::App* run = root.add_subcommand("run", "Run the stage of a spec file");
  std::string spec_path;
  int run_events_fd = STDOUT_FILENO;
  run->add_option("spec", spec_path, "A stage spec, JSON")->required();
  run->add_option("--events", run_events_fd, "Descriptor for the events (default: standard output)")
      ->check(CLI::NonNegativeNumber);

  CLI::App* version =
      root.add_subcommand("version", "Print version, build, semantics, torch and devices");
  std::string version_output = "text";
  version->add_option("--output", version_output, "text or json")
      ->check(CLI::IsMember({"text", "json"}));

  std::list<BoundVerb> bound;  // A list: options point into its elements.
  BindVerbs(verbs, root, &bound);
  try {
    root.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return root.exit(error) == 0 ? kExitDone : kExitUsage;
  }
  if (print_version || version->parsed()) {
    PrintVersion(stages, version_output);
    return kExitDone;
  }
  if (run->parsed()) {
    return RunSpecFile(spec_path, run_events_fd, stages);
  }
  for (const BoundVerb& verb : bound) {
    if (verb.app->parsed()) {
      return verb.direct ? RunDirectVerb(verb.direct, verb.options)
                         : RunStageVerb(verb.stage, verb.options, stages);
    }
  }
  std::fprintf(stderr, "%s", root.help().c_str());
  return kExitUsage;
}

}  // namespace bitsweep::engine
