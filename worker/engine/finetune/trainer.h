// The loop that block tuning and end-to-end fine-tuning share: Adam over seeded batches, the loss
// that decides measured after every epoch, the best state kept (the untrained one counts), early
// stop, divergence; where codes are trained, mixtures of them that are annealed to single ones.
// Gradients are sums over passes of a few sequences; passes run side by side on the CPU and are
// added in their order, so the result does not depend on the number of threads. Thread rule: one
// thread calls; `pass` runs on up to `threads` threads at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "worker/engine/finetune/parameters.h"

namespace bitsweep::engine {

/// Tokens of a pass on a GPU where a step has several sequences.
inline constexpr std::int64_t kDevicePassTokens = 8192;

struct TrainOptions {
  double learning_rate = 1e-5;
  double learning_rate_end = 1.0;  // What is left of it at the last step, as a share; linear.
  double beta1 = 0.9;
  double beta2 = 0.999;
  int epochs = 5;          // At most.
  int early_stop = 3;      // Epochs without a better measured loss; 0: never.
  std::int64_t batch = 1;  // Sequences a step.
  std::int64_t pass_sequences = 1;
  int threads = 1;
  // Where codes are trained:
  double code_learning_rate = 0.0;  // Of their logits.
  double code_settled = 0.0;        // Share of all steps, at the end, in which they stay.
};

/// The codes of what is trained, whose logits are among the parameters (code_choice.h).
struct CodeHooks {
  std::function<void(double temperature)> soften;  // Mixtures from here on.
  std::function<void()> settle;                    // Those with the greatest logits.
  std::function<void()> restore;                   // Those of the untrained state.
};

struct TrainProblem {
  std::string name;  // "model.layers.3": what an error message says is trained.
  std::vector<Parameter*> parameters;
  std::vector<bool> is_trained;               // One a parameter.
  std::vector<std::int64_t> train, measured;  // Sequences, by whatever number `pass` knows them.
  /// The mean loss over these sequences, and its gradients where asked for.
  std::function<double(const std::vector<std::int64_t>& sequences, Gradients* gradients)> pass;
  /// Where parameters of codes are trained. A step sees mixtures, but for the last ones; what is
  /// measured is settled. There is no early stop then: what an epoch leaves is not the best that is
  /// to come before codes have settled.
  CodeHooks codes;
  /// The order of an epoch's sequences is keyed by these and the epoch.
  std::uint64_t seed = 0;
  std::uint64_t layer = 0;
  /// A mean training loss above max(growth_factor * u, u + growth_floor), u the untrained measured
  /// loss, over kGrowthSteps steps is divergence.
  double growth_factor = 3.0;
  double growth_floor = 1.0;
};

inline constexpr std::size_t kGrowthSteps = 8;
/// The temperature of mixtures falls from 1 to this, by the same factor at each step.
inline constexpr double kCodeTemperatureEnd = 0.05;

struct EpochLosses {
  double train = 0.0;     // Mean over the epoch's steps, while it trained.
  double measured = 0.0;  // Of the state at its end.
};

/// Where a training stands between two epochs; everything that it needs to go on, beside the
/// parameters' values. Tensors are undefined for parameters that are not trained.
struct TrainState {
  std::int64_t steps = 0;       // Of Adam.
  double untrained = 0.0;       // Measured loss before the first step.
  std::int64_t best_epoch = 0;  // 0: untrained.
  double best = 0.0;
  std::vector<EpochLosses> curve;  // One a finished epoch.
  std::vector<at::Tensor> best_values, first_moments, second_moments;
  std::int64_t epochs() const { return static_cast<std::int64_t>(curve.size()); }
  bool started() const { return !best_values.empty(); }
};

struct TrainObserver {
  /// After each step: the epoch (from 1), steps done in it, of how many, the step's loss.
  std::function<void(std::int64_t epoch, std::int64_t step, std::int64_t steps, double loss)>
      on_step;
  /// After each epoch, and once before the first with an empty curve: a point to go on from.
  std::function<void(const TrainState&)> on_epoch;
};

/// Trains from `state` (default: from the start, measuring first) and leaves the best state's
/// values in the parameters. Throws kDiverged naming the problem, epoch, step and learning rate: a
/// loss that is not finite, or a growing one.
TrainState Train(const TrainProblem& problem,
                 const TrainOptions& options,
                 TrainState state,
                 const TrainObserver& observer);

/// The mean loss over sequences, in passes side by side.
double MeasureLoss(const TrainProblem& problem,
                   const TrainOptions& options,
                   const std::vector<std::int64_t>& sequences);

}  // namespace bitsweep::engine
