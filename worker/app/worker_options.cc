#include "worker/app/worker_options.h"

#include <CLI/CLI.hpp>

#include "bitsweep_generated/build_id.h"

namespace bitsweep {
namespace {

constexpr const char* kServerForm = "HOST:PORT";

std::string CheckServer(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  const bool is_port = colon != std::string::npos && colon > 0 && colon + 1 < text.size() &&
                       text.find_first_not_of("0123456789", colon + 1) == std::string::npos;
  return is_port ? "" : "\"" + text + "\" is not HOST:PORT";
}

std::string CheckLabel(const std::string& text) {
  const std::size_t equals = text.find('=');
  return equals != std::string::npos && equals > 0 ? "" : "\"" + text + "\" is not KEY=VALUE";
}

std::string CheckStage(const std::string& text) {
  if (ParseStageKind(text)) {
    return "";
  }
  std::string known;
  for (const StageKind kind : kStageKinds) {
    known += (known.empty() ? "" : ", ") + std::string(ToString(kind));
  }
  return "\"" + text + "\" is not a stage; the stages are " + known;
}

}  // namespace

ParsedOptions ParseWorkerOptions(int argc, const char* const* argv) {
  WorkerOptions options;
  std::vector<std::string> stages;
  std::vector<std::string> labels;
  CLI::App app("bitsweep-worker: runs the stages that a coordinator leases to this machine.");
  app.set_version_flag("--version", std::string("bitsweep-worker ") + kVersion + " " + kBuildId);
  app.add_option("--server", options.server, "The coordinator")
      ->required()
      ->type_name(kServerForm)
      ->check(CLI::Validator(CheckServer, ""));
  app.add_option("--cache-dir",
                 options.cache_dir,
                 "Inputs, artifacts and running stages; one folder for each worker")
      ->required()
      ->type_name("DIR");
  app.add_option("--model-root",
                 options.model_roots,
                 "A folder with models; a sweep's model paths are below it")
      ->type_name("DIR")
      ->check(CLI::ExistingDirectory);
  app.add_option("--stages", stages, "What to offer: quantize,finetune,generate,grade")
      ->delimiter(',')
      ->check(CLI::Validator(CheckStage, ""));
  app.add_option("--slots", options.slots, "CPU stages at a time")->check(CLI::PositiveNumber);
  app.add_option("--cores", options.cores, "Cores to use (all of this machine's)")
      ->check(CLI::PositiveNumber);
  app.add_option("--label", labels, "KEY=VALUE, shown by `bitsweep workers`")
      ->check(CLI::Validator(CheckLabel, ""));
  app.add_option("--name", options.name, "Unique among the workers (host name and folder)");
  app.add_option("--engine", options.engine, "bitsweep-engine (beside this binary)")
      ->check(CLI::ExistingFile);
  app.add_option("--grader", options.grader, "bitsweep-grade (beside this binary)")
      ->check(CLI::ExistingFile);
  app.add_option("--cache-limit",
                 options.cache_limit,
                 "What the cache may take; bytes, or with K, M, G, T (4/5 of the free disk)")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/false));
  app.add_option("--isolation", options.isolation, "What generated programs run in")
      ->check(CLI::IsMember({"best", "bubblewrap", "none"}))
      ->capture_default_str();
  app.add_option("--hang-after",
                 options.hang_after_minutes,
                 "Minutes without an event after which a stage is killed")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--log-level", options.log_level, "debug, info, warning or error")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return {.options = std::nullopt, .exit_code = app.exit(error) == 0 ? 0 : 2};
  }
  for (const std::string& stage : stages) {
    options.stages.push_back(*ParseStageKind(stage));
  }
  for (const std::string& label : labels) {
    const std::size_t equals = label.find('=');
    options.labels[label.substr(0, equals)] = label.substr(equals + 1);
  }
  return {.options = std::move(options), .exit_code = 0};
}

}  // namespace bitsweep
