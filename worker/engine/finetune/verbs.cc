#include "worker/engine/finetune/verbs.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "worker/engine/finetune/finetune_options.h"

namespace bitsweep::engine {
namespace {

struct FinetuneFlags {
  FinetuneOptions method;
  std::string objective = FinetuneObjectiveNames().front();
  std::vector<std::string> train = TrainedPartNames();
  std::string checkpointing = "auto";
  std::string model, teacher, calibration, window = "pack", output;
  std::int64_t sequences = 0, sequence_length = 0, validation = 0, min_tokens = 0;
  std::uint64_t seed = 0;
};

// The spec's `method`; the stage reads it and says what is wrong.
nlohmann::json MethodMembers(const FinetuneFlags& flags) {
  const std::vector<std::string>& objectives = FinetuneObjectiveNames();
  FinetuneOptions method = flags.method;
  method.objective = static_cast<FinetuneObjective>(
      std::find(objectives.begin(), objectives.end(), flags.objective) - objectives.begin());
  nlohmann::json members = ToJson(method);
  members["train"] = flags.train;
  members["gradient_checkpointing"] = flags.checkpointing;
  return members;
}

StageRequest MakeRequest(const FinetuneFlags& flags) {
  StageRequest request;
  request.kind = "finetune";
  request.seed = flags.seed;
  request.output_dir = flags.output;
  request.members = {{"model", {{"dir", AbsolutePath(flags.model)}}},
                     {"teacher", {{"dir", AbsolutePath(flags.teacher)}}},
                     {"method", MethodMembers(flags)},
                     {"calibration",
                      {{"parts",
                        {{{"file", AbsolutePath(flags.calibration)},
                          {"sequences", flags.sequences},
                          {"window", flags.window},
                          {"min_tokens", flags.min_tokens}}}},
                       {"validation", flags.validation},
                       {"sequence_length", flags.sequence_length}}}};
  return request;
}

void AddCodeOptions(CLI::App& app, CodeChoiceOptions* codes) {
  app.add_option(
         "--code-learning-rate", codes->learning_rate, "pv: of Adam on the choices of codes")
      ->capture_default_str();
  app.add_option("--code-alternatives", codes->alternatives, "pv: codes that a group may have")
      ->capture_default_str();
  app.add_option("--code-sharpness",
                 codes->sharpness,
                 "pv: how much nearer ones are preferred at the start")
      ->capture_default_str();
  app.add_option(
         "--code-settled", codes->settled, "pv: share of steps, at the end, without changes")
      ->capture_default_str();
}

StageVerb Configure(CLI::App& app) {
  const auto flags = std::make_shared<FinetuneFlags>();
  app.add_option("model", flags->model, "A quantized checkpoint's folder")->required();
  app.add_option("--teacher", flags->teacher, "The full-precision model's folder")->required();
  app.add_option("--objective", flags->objective, "What moves towards what; pv moves codes, too")
      ->check(CLI::IsMember(FinetuneObjectiveNames()))
      ->capture_default_str();
  app.add_option("--learning-rate", flags->method.learning_rate, "Of Adam")->capture_default_str();
  app.add_option("--learning-rate-end",
                 flags->method.learning_rate_end,
                 "What is left of it at the last step, as a share")
      ->capture_default_str();
  app.add_option("--epochs", flags->method.epochs, "At most")->capture_default_str();
  app.add_option("--early-stop", flags->method.early_stop, "Epochs without a better KL; 0: never")
      ->capture_default_str();
  app.add_option("--batch", flags->method.batch, "Sequences a step")->capture_default_str();
  app.add_option("--train", flags->train, "What moves")
      ->delimiter(',')
      ->check(CLI::IsMember(TrainedPartNames()));
  app.add_option_function<std::string>(
         "--products",
         [flags](const std::string& name) {
           flags->method.products = ProductsOf(name);
         },
         "Of the blocks' linears: f32 or bf16")
      ->check(CLI::IsMember(ProductsNames()));
  AddCodeOptions(app, &flags->method.codes);
  app.add_option("--gradient-checkpointing", flags->checkpointing, "auto, on or off")
      ->check(CLI::IsMember({"auto", "on", "off"}))
      ->capture_default_str();
  app.add_option("--calibration", flags->calibration, "JSON lines {\"text\"}")->required();
  app.add_option("--sequences", flags->sequences, "Sequences, validation included")->required();
  app.add_option("--sequence-length", flags->sequence_length, "Tokens a sequence")->required();
  app.add_option("--window", flags->window, "How sequences are cut from documents")
      ->check(CLI::IsMember({"random", "first", "pack"}))
      ->capture_default_str();
  app.add_option("--min-tokens", flags->min_tokens, "Leave shorter documents out");
  app.add_option("--validation", flags->validation, "Sequences held out")->capture_default_str();
  app.add_option("--seed", flags->seed, "Of the sampling and the order")->capture_default_str();
  app.add_option("--output", flags->output, "The checkpoint's folder")->required();
  return [flags] { return MakeRequest(*flags); };
}

}  // namespace

void RegisterFinetuneVerbs(VerbRegistry& registry) {
  registry.AddStage("finetune", "Train a quantized model towards the original's logits", Configure);
}

}  // namespace bitsweep::engine
