#include "worker/engine/quantize/linear_quantizer.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <numeric>

#include "worker/engine/error.h"
#include "worker/engine/keyed_random.h"
#include "worker/engine/quantize/codebook_update.h"
#include "worker/engine/quantize/epoch_control.h"
#include "worker/engine/quantize/f16.h"
#include "worker/engine/quantize/kmeans.h"
#include "worker/engine/quantize/linear_state.h"
#include "worker/kernels/code_beam_search.h"
#include "worker/kernels/code_search.h"

namespace bitsweep::engine {
namespace {

// An input that never fires is worth this share of the mean, so that its column still follows.
constexpr double kDiagonalFloor = 1e-6;

// What an error of a normalised weight costs where H is its diagonal: s_o^2 H_ii, each side by its
// mean.
KmeansWeights WeightsOf(const LinearState& state) {
  const std::int64_t width = state.width();
  std::vector<double> rows, columns;
  for (const float scale : state.scales) {
    rows.push_back(static_cast<double>(scale) * static_cast<double>(scale));
  }
  for (std::int64_t i = 0; i < width; ++i) {
    columns.push_back(static_cast<double>(state.problem.xtx[i * width + i]));
  }
  const auto by_mean = [](const std::vector<double>& values) {
    const double mean = std::max(std::accumulate(values.begin(), values.end(), 0.0) /
                                     static_cast<double>(values.size()),
                                 std::numeric_limits<double>::min());
    std::vector<float> out;
    for (const double value : values) {
      out.push_back(static_cast<float>(std::max(value / mean, kDiagonalFloor)));
    }
    return out;
  };
  return {by_mean(rows), by_mean(columns)};
}

// s_o = ||W_o||, then residual k-means on the rows divided by it.
void Initialise(LinearState& state, const LinearQuantizeOptions& options, const LinearKey& key) {
  const std::int64_t width = state.width();
  std::vector<float> normalised(static_cast<std::size_t>(state.shape.O * width));
  for (std::int64_t o = 0; o < state.shape.O; ++o) {
    const float* row = state.problem.weight + o * width;
    double square = 0.0;
    for (std::int64_t i = 0; i < width; ++i) {
      square += static_cast<double>(row[i]) * static_cast<double>(row[i]);
    }
    const auto scale = static_cast<float>(std::sqrt(square) + kNormFloor);
    state.scales.push_back(scale);
    for (std::int64_t i = 0; i < width; ++i) {
      normalised[static_cast<std::size_t>(o * width + i)] = row[i] / scale;
    }
  }
  KeyedRandom random({key.seed, key.layer, key.linear, kRandomOfKmeans});
  const bool is_weighted = options.initialisation == Initialisation::kWeightedKmeans;
  const KmeansWeights weights = is_weighted ? WeightsOf(state) : KmeansWeights();
  KmeansStart start = ResidualKmeans(state.shape,
                                     normalised.data(),
                                     options.kmeans_iterations,
                                     random,
                                     state.threads,
                                     is_weighted ? &weights : nullptr);
  state.codes = std::move(start.codes);
  state.codebooks = std::move(start.codebooks);
}

void Search(LinearState& state,
            const LinearQuantizeOptions& options,
            const LinearKey& key,
            int epoch) {
  KeyedRandom random(
      {key.seed, key.layer, key.linear, kRandomOfSearch, static_cast<std::uint64_t>(epoch)});
  for (int sweep = 0; sweep < options.sweeps; ++sweep) {
    const std::vector<std::int32_t> groups = random.Permutation(state.shape.I);
    std::vector<std::int32_t> codebooks;
    for (std::int64_t i = 0; i < state.shape.I; ++i) {
      const std::vector<std::int32_t> order = random.Permutation(state.shape.M);
      codebooks.insert(codebooks.end(), order.begin(), order.end());
    }
    const kernels::CodeSearchArgs args = {.shape = state.shape,
                              .xtx = state.problem.xtx,
                              .codebooks = state.codebooks.data(),
                              .scales = state.scales.data(),
                              .group_order = groups.data(),
                              .codebook_order = codebooks.data(),
                              .codes = state.codes.data(),
                              .residual = state.residual.data(),
                              .product = state.product.data(),
                              .threads = state.threads};
    if (options.beam_size > 1) {
      kernels::CodeBeamSweep(args, options.beam_size);
    } else {
      kernels::CodeSearchSweep(args);
    }
  }
}

// Updates and searches until an epoch gains less than the tolerance. Leaves the state right after a
// search.
void RunEpochs(LinearState& state,
               const LinearQuantizeOptions& options,
               const LinearKey& key,
               EpochControl& control,
               LinearResult* result) {
  AdamUpdate adam(state, options.adam_learning_rate);
  for (;;) {
    state.Refresh();
    if (!control.Begin(state.Loss())) {
      return;
    }
    PhaseClock clock;
    if (options.codebook_update == CodebookUpdate::kAdam) {
      adam.Run(state, options.adam_steps);
    } else {
      LeastSquaresUpdate(state, options.least_squares_steps);
    }
    clock.AddTo(&result->seconds_update);
    Search(state, options, key, control.epoch());
    clock.AddTo(&result->seconds_search);
  }
}

void RequireRange(const char* option, double value, double low, double high) {
  if (!(value >= low && value <= high)) {
    char text[160];
    std::snprintf(text,
                  sizeof(text),
                  "method: %s is %.10g, allowed: %.10g to %.10g",
                  option,
                  value,
                  low,
                  high);
    ThrowBadInput(text);
  }
}

}  // namespace

void CheckOptions(const LinearQuantizeOptions& options) {
  RequireRange("codebooks", options.codebooks, 1, 64);
  RequireRange("codebook_bits", options.codebook_bits, 1, 16);
  RequireRange("group_size", options.group_size, 1, 64);
  RequireRange("kmeans_iterations", options.kmeans_iterations, 0, 10000);
  RequireRange("relative_mse_tolerance", options.relative_mse_tolerance, 0.0, 1.0);
  RequireRange("relative_loss_floor", options.relative_loss_floor, 0.0, 1.0);
  RequireRange("epochs_max", options.epochs_max, 1, 100000);
  RequireRange("least_squares_steps", options.least_squares_steps, 1, 1000);
  RequireRange("sweeps", options.sweeps, 1, 1000);
  RequireRange("beam_size", options.beam_size, 1, kernels::kBeamMax);
  RequireRange("adam_steps", options.adam_steps, 1, 100000);
  RequireRange("adam_learning_rate", options.adam_learning_rate, 0.0, 1.0);
}

LinearResult QuantizeLinear(const LinearProblem& problem,
                            const LinearQuantizeOptions& options,
                            const LinearKey& key,
                            const std::string& name,
                            int threads) {
  PhaseClock whole;
  LinearResult result;
  LinearState state(problem,
                    ShapeOf(problem.out_features, problem.in_features, options, name),
                    threads);
  EpochControl control(options, name, state.reference);
  PhaseClock clock;
  Initialise(state, options, key);
  clock.AddTo(&result.seconds_start);
  RunEpochs(state, options, key, control, &result);
  RoundToF16(&state.codebooks);
  RoundToF16(&state.scales);
  state.Refresh();
  result.shape = state.shape;
  result.loss = control.Final(state.Loss());
  result.epochs = control.epoch();
  result.epoch_losses = control.losses();
  result.reference = state.reference;
  result.codes = std::move(state.codes);
  result.codebooks = std::move(state.codebooks);
  result.scales = std::move(state.scales);
  whole.AddTo(&result.seconds);
  return result;
}

double LinearLoss(const LinearProblem& problem,
                  const kernels::CodeShape& shape,
                  const std::int32_t* codes,
                  const float* codebooks,
                  const float* scales,
                  int threads) {
  LinearState state(problem, shape, threads);
  state.codes.assign(codes, codes + shape.O * shape.I * shape.M);
  state.codebooks.assign(codebooks, codebooks + shape.M * shape.K * shape.g);
  state.scales.assign(scales, scales + shape.O);
  state.Refresh();
  return state.Loss();
}

}  // namespace bitsweep::engine
