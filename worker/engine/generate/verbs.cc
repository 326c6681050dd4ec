#include "worker/engine/generate/verbs.h"

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "worker/benchmark/record.h"
#include "worker/engine/checkpoint/atomic_file.h"
#include "worker/engine/error.h"

namespace bitsweep::engine {
namespace {

struct GenerateOptions {
  std::string model_dir, benchmark, output;
  std::string early_stop = "class";
  std::int64_t samples = 1;
  std::int64_t max_tokens_total = 1024;
  std::int64_t batch = 0;
  std::int64_t split = 0;
  bool batch_invariant = false;
  std::string weights = "auto";
  std::int64_t gpu_memory_mib = 0;
  double temperature = 0.0;
  double top_p = 1.0;
  std::uint64_t seed = 0;
};

// The spec names the language; by hand it is the file's own.
std::string LanguageOf(const std::string& benchmark) {
  try {
    return benchmark::LanguageName(benchmark::ReadBenchmark(benchmark).at(0).language);
  } catch (const benchmark::BenchmarkError& error) {
    ThrowBadInput(error.what());
  }
}

StageRequest MakeRequest(const GenerateOptions& options) {
  StageRequest request;
  request.kind = "generate";
  request.seed = options.seed;
  request.members = {
      {"model", {{"dir", AbsolutePath(options.model_dir)}}},
      {"benchmark",
       {{"file", AbsolutePath(options.benchmark)}, {"language", LanguageOf(options.benchmark)}}},
      {"sampling",
       {{"samples", options.samples},
        {"temperature", options.temperature},
        {"top_p", options.top_p},
        {"max_tokens_total", options.max_tokens_total},
        {"early_stop", options.early_stop}}}};
  if (options.batch > 0) {
    request.members["batch"]["slots"] = options.batch;
  }
  if (options.split > 0) {
    request.members["batch"]["split"] = options.split;
  }
  if (options.batch_invariant) {
    request.members["batch"]["invariant"] = true;
  }
  if (options.weights != "auto") {
    request.members["batch"]["weights"] = options.weights;
  }
  if (options.gpu_memory_mib > 0) {
    request.members["batch"]["gpu_memory_mib"] = options.gpu_memory_mib;
  }
  request.finish = [output = AbsolutePath(options.output)](const nlohmann::json&,
                                                           const std::string& output_dir) {
    // Copied rather than renamed: the temporary folder may lie on another file system.
    WriteFileAtomically(output, ReadWholeFile(output_dir + "/completions.jsonl"));
  };
  return request;
}

}  // namespace

void RegisterGenerateVerbs(VerbRegistry& registry) {
  registry.AddStage(
      "generate", "Completions of a benchmark's prompts", [](CLI::App& app) -> StageVerb {
        const auto options = std::make_shared<GenerateOptions>();
        app.add_option("model", options->model_dir, "A model or checkpoint folder")->required();
        app.add_option("--benchmark", options->benchmark, "Problems, MultiPL-E records")
            ->required();
        app.add_option(
               "--output", options->output, "JSON lines to write: name, sample, completion, tokens")
            ->required();
        app.add_option("--samples", options->samples, "Completions for each problem")
            ->check(CLI::PositiveNumber);
        app.add_option("--temperature", options->temperature, "0 is greedy")
            ->check(CLI::NonNegativeNumber);
        app.add_option(
            "--top-p", options->top_p, "Share of probability that is sampled from, in (0, 1]");
        app.add_option(
            "--max-tokens-total", options->max_tokens_total, "Prompt and completion tokens");
        app.add_option("--seed", options->seed, "Of the draws");
        app.add_option("--early-stop",
                       options->early_stop,
                       "End a completion with the prompt's class or function")
            ->check(CLI::IsMember({"none", "class", "function"}));
        app.add_option("--batch", options->batch, "The most sequences at once (default: by memory)")
            ->check(CLI::PositiveNumber);
        app.add_option("--split",
                       options->split,
                       "GPUs that the layers of one replica are divided over (default: as few as "
                       "hold it)")
            ->check(CLI::PositiveNumber);
        app.add_option("--weights",
                       options->weights,
                       "How a GPU keeps an AQLM checkpoint's linears: expanded, codes, or auto: "
                       "expanded where that fits")
            ->check(CLI::IsMember({"auto", "expanded", "codes"}));
        app.add_option("--gpu-memory-limit",
                       options->gpu_memory_mib,
                       "MiB that the model and its cache take of each GPU, at most (default: all)")
            ->check(CLI::PositiveNumber);
        app.add_flag("--batch-invariant",
                     options->batch_invariant,
                     "The same bits whatever the batch, on one model of device; slower");
        return [options]() { return MakeRequest(*options); };
      });
}

}  // namespace bitsweep::engine
