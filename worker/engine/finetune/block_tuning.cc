#include "worker/engine/finetune/block_tuning.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "worker/engine/finetune/block_graph.h"
#include "worker/engine/finetune/coded_block.h"

namespace bitsweep::engine {
namespace {

// A block's loss has no natural size; ten times the untrained one is out of hand.
constexpr double kGrowthFactor = 10.0;

// Sequences [n, T, h] of the numbers of NumberSequences, in f32.
at::Tensor Gather(const at::Tensor& train,
                  const at::Tensor& validation,
                  const std::vector<std::int64_t>& sequences) {
  std::vector<at::Tensor> rows;
  for (const std::int64_t at : sequences) {
    const std::int64_t count = train.size(0);
    rows.push_back(at < count ? train.narrow(0, at, 1) : validation.narrow(0, at - count, 1));
  }
  return (rows.size() == 1 ? rows[0] : at::cat(rows)).to(at::kFloat);
}

double Pass(const BlockTuneProblem& problem,
            const CodedBlock& block,
            const std::vector<std::int64_t>& sequences,
            Gradients* gradients) {
  const at::Tensor x = Gather(problem.train_inputs, problem.validation_inputs, sequences);
  const at::Tensor y = Gather(problem.train_targets, problem.validation_targets, sequences);
  BlockWeights leaves = block.Leaves(gradients != nullptr);
  const at::Tensor out = BlockGraph(*problem.config, leaves, *problem.rope, x);
  const c10::NoGradGuard no_grad;
  at::Tensor difference = out.detach() - y;
  const double loss =
      difference.square().sum(at::kDouble).item<double>() / static_cast<double>(y.numel());
  if (gradients != nullptr) {
    out.backward(difference.mul_(2.0 / static_cast<double>(y.numel())));
    gradients->resize(block.parameters().size());
    block.Pull(leaves, gradients->data());
  }
  return loss;
}

}  // namespace

BlockTuneOptions ReadBlockTuning(StrictObject object) {
  BlockTuneOptions options;
  options.learning_rate = object.NumberOr("learning_rate", 1e-12, 1.0, options.learning_rate);
  options.epochs = static_cast<int>(object.IntOr("epochs", 1, 1000, options.epochs));
  options.early_stop = static_cast<int>(object.IntOr("early_stop", 0, 1000, options.early_stop));
  options.batch = object.IntOr("batch", 1, 4096, options.batch);
  options.products = ReadProducts(object);
  object.Finish();
  return options;
}

nlohmann::json ToJson(const BlockTuneOptions& options) {
  return {{"learning_rate", options.learning_rate},
          {"epochs", options.epochs},
          {"early_stop", options.early_stop},
          {"batch", options.batch},
          {"products", NameOf(options.products)}};
}

void NumberSequences(std::int64_t train, std::int64_t validation, TrainProblem* problem) {
  for (std::int64_t i = 0; i < train; ++i) {
    problem->train.push_back(i);
  }
  const std::int64_t begin = validation > 0 ? train : 0;
  const std::int64_t count = validation > 0 ? validation : std::min(train, kMeasuredMax);
  for (std::int64_t i = begin; i < begin + count; ++i) {
    problem->measured.push_back(i);
  }
}

TrainState TuneBlock(const BlockTuneProblem& problem,
                     const BlockTuneOptions& options,
                     const std::function<void(const TrainState&)>& on_epoch,
                     std::map<std::string, QuantizedLinear>* linears,
                     at::Tensor* input_layernorm,
                     at::Tensor* post_attention_layernorm) {
  const bool on_cpu = problem.train_inputs.is_cpu();
  const std::string prefix = "model.layers." + std::to_string(problem.layer);
  CodedBlock block(prefix + ".",
                   *linears,
                   *input_layernorm,
                   *post_attention_layernorm,
                   at::kFloat,
                   problem.train_inputs.device(),
                   /*bf16_products=*/options.products == Products::kBf16);
  TrainProblem training;
  training.name = prefix;
  training.seed = problem.seed;
  training.layer = static_cast<std::uint64_t>(problem.layer);
  training.growth_factor = kGrowthFactor;
  training.growth_floor = 0.0;
  for (Parameter& parameter : block.parameters()) {
    training.parameters.push_back(&parameter);
    training.is_trained.push_back(parameter.part != TrainedPart::kCodes);
  }
  NumberSequences(problem.train_inputs.size(0), problem.validation_inputs.size(0), &training);
  training.pass = [&](const std::vector<std::int64_t>& sequences, Gradients* gradients) {
    return Pass(problem, block, sequences, gradients);
  };
  const std::int64_t on_device =
      std::max<std::int64_t>(1, kDevicePassTokens / problem.train_inputs.size(1));
  const TrainOptions train_options = {.learning_rate = options.learning_rate,
                                      .beta1 = 0.9,
                                      .beta2 = 0.95,
                                      .epochs = options.epochs,
                                      .early_stop = options.early_stop,
                                      .batch = options.batch,
                                      .pass_sequences = on_cpu ? 1 : on_device,
                                      .threads = on_cpu ? problem.threads : 1};
  TrainState state = Train(training, train_options, {}, {.on_step = {}, .on_epoch = on_epoch});
  *linears = block.Linears();
  *input_layernorm = block.parameters()[0].value;
  *post_attention_layernorm = block.parameters()[1].value;
  return state;
}

}  // namespace bitsweep::engine
