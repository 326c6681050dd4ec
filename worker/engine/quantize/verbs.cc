#include "worker/engine/quantize/verbs.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <optional>

#include "worker/engine/error.h"
#include "worker/engine/numerics.h"
#include "worker/engine/quantize/linear_file.h"
#include "worker/engine/quantize/method_options.h"

namespace bitsweep::engine {
namespace {

// The method's options that both verbs have.
struct MethodFlags {
  LinearQuantizeOptions method;
  std::string codebook_update = "least_squares";
  std::string initialisation = "kmeans";

  void Add(CLI::App& app) {
    app.add_option("--codebooks", method.codebooks, "Codebooks a linear (M)")->required();
    app.add_option("--codebook-bits", method.codebook_bits, "Bits a code (B); K = 2^B")->required();
    app.add_option("--group-size", method.group_size, "Weights a group")->capture_default_str();
    app.add_option("--tolerance",
                   method.relative_mse_tolerance,
                   "Stop when an epoch gains less than this share of the loss")
        ->capture_default_str();
    app.add_option("--epochs-max", method.epochs_max, "Epochs a linear, at most")
        ->capture_default_str();
    app.add_option("--initialisation", initialisation, "What codes and codebooks start from")
        ->check(CLI::IsMember({"kmeans", "weighted-kmeans"}))
        ->capture_default_str();
    app.add_option("--kmeans-iterations", method.kmeans_iterations, "A codebook, at most")
        ->capture_default_str();
    app.add_option("--codebook-update", codebook_update, "How codebooks and scales move")
        ->check(CLI::IsMember({"least_squares", "adam"}))
        ->capture_default_str();
    app.add_option("--least-squares-steps", method.least_squares_steps, "An epoch")
        ->capture_default_str();
    app.add_option("--beam-size", method.beam_size, "Hypotheses a row in a search")
        ->capture_default_str();
    app.add_option("--sweeps", method.sweeps, "Searches over all codes an epoch")
        ->capture_default_str();
    app.add_option("--adam-steps", method.adam_steps, "An epoch")->capture_default_str();
    app.add_option("--adam-learning-rate", method.adam_learning_rate)->capture_default_str();
  }

  LinearQuantizeOptions Options() const {
    LinearQuantizeOptions options = method;
    options.codebook_update =
        codebook_update == "adam" ? CodebookUpdate::kAdam : CodebookUpdate::kLeastSquares;
    options.initialisation = initialisation == "kmeans" ? Initialisation::kKmeans
                                                        : Initialisation::kWeightedKmeans;
    CheckOptions(options);
    return options;
  }
};

struct QuantizeFlags {
  MethodFlags method;
  BlockTuneOptions block_tuning{.epochs = 0};
  std::string model, calibration, window = "pack", output;
  std::int64_t sequences = 0, sequence_length = 0, validation = 0, min_tokens = 0;
  std::uint64_t seed = 0;
};

StageVerb ConfigureQuantize(CLI::App& app) {
  const auto flags = std::make_shared<QuantizeFlags>();
  app.add_option("model", flags->model, "A model folder")->required();
  flags->method.Add(app);
  app.add_option("--block-epochs",
                 flags->block_tuning.epochs,
                 "Fine-tune each block for at most so many epochs; 0: not at all")
      ->capture_default_str();
  app.add_option("--block-learning-rate", flags->block_tuning.learning_rate, "Of Adam")
      ->capture_default_str();
  app.add_option("--block-batch", flags->block_tuning.batch, "Sequences a step")
      ->capture_default_str();
  app.add_option_function<std::string>(
         "--block-products",
         [flags](const std::string& name) { flags->block_tuning.products = ProductsOf(name); },
         "Of the blocks' linears: f32 or bf16")
      ->check(CLI::IsMember(ProductsNames()));
  app.add_option("--calibration", flags->calibration, "JSON lines {\"text\"}")->required();
  app.add_option("--sequences", flags->sequences, "Sequences, validation included")->required();
  app.add_option("--sequence-length", flags->sequence_length, "Tokens a sequence")->required();
  app.add_option("--window", flags->window, "How sequences are cut from documents")
      ->check(CLI::IsMember({"random", "first", "pack"}))
      ->capture_default_str();
  app.add_option("--min-tokens", flags->min_tokens, "Leave shorter documents out");
  app.add_option("--validation", flags->validation, "Sequences held out")->capture_default_str();
  app.add_option("--seed", flags->seed, "Of the sampling and the quantization")
      ->capture_default_str();
  app.add_option("--output", flags->output, "The checkpoint's folder")->required();
  return [flags] {
    StageRequest request;
    request.kind = "quantize";
    request.seed = flags->seed;
    request.output_dir = flags->output;
    request.members = {
        {"model", {{"dir", AbsolutePath(flags->model)}}},
        {"method",
         MethodJson(
             flags->method.Options(),
             flags->block_tuning.epochs > 0 ? std::optional(flags->block_tuning) : std::nullopt)},
        {"calibration",
         {{"parts",
           {{{"file", AbsolutePath(flags->calibration)},
             {"sequences", flags->sequences},
             {"window", flags->window},
             {"min_tokens", flags->min_tokens}}}},
          {"validation", flags->validation},
          {"sequence_length", flags->sequence_length}}}};
    return request;
  };
}

void RunLinear(const std::string& input,
               const LinearQuantizeOptions& options,
               std::uint64_t seed,
               const VerbContext& context) {
  const at::Device device = DeviceOf(context.numerics);
  const LinearTensors tensors = ReadLinearFile(input, device);
  const LinearMethod& method = ChooseLinearMethod(device, options);
  const LinearResult result =
      method.run(tensors, options, {.seed = seed, .layer = 0, .linear = 0}, input, context.threads);
  const nlohmann::json line = {{"relative_loss", result.relative_loss()},
                               {"seconds", result.seconds},
                               {"loss", result.loss},
                               {"reference", result.reference},
                               {"epochs", result.epochs},
                               {"method", method.name}};
  std::printf("%s\n", line.dump().c_str());
}

DirectVerb ConfigureLinear(CLI::App& app) {
  struct Flags {
    MethodFlags method;
    std::string input;
    std::uint64_t seed = 0;
  };
  const auto flags = std::make_shared<Flags>();
  app.add_option("--input", flags->input, "safetensors with weight [O, in] and xtx [in, in]")
      ->required();
  flags->method.Add(app);
  app.add_option("--seed", flags->seed)->capture_default_str();
  return [flags](const VerbContext& context) {
    RunLinear(flags->input, flags->method.Options(), flags->seed, context);
  };
}

}  // namespace

void RegisterQuantizeVerbs(VerbRegistry& registry) {
  registry.AddStage("quantize", "Quantize a model with AQLM", ConfigureQuantize);
  registry.AddDirect(
      "quantize-linear", "Quantize one weight matrix and print its loss", ConfigureLinear);
}

}  // namespace bitsweep::engine
