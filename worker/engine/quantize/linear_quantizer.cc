#include "worker/engine/quantize/linear_quantizer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "worker/engine/error.h"
#include "worker/engine/keyed_random.h"
#include "worker/engine/quantize/codebook_update.h"
#include "worker/engine/quantize/f16.h"
#include "worker/engine/quantize/kmeans.h"
#include "worker/engine/quantize/linear_state.h"
#include "worker/kernels/code_search.h"

namespace bitsweep::engine {
namespace {

// Added to a row's norm so that an all-zero row can be divided by it (the reference's constant).
constexpr double kNormFloor = 1e-9;

// What a stream of random numbers of one linear is for; the values are part of the `quantize`
// semantics.
enum Purpose : std::uint64_t {
  kKmeans = 1,
  kSearch = 2
};

kernels::CodeShape Shape(const LinearProblem& problem,
                         const LinearQuantizeOptions& options,
                         const std::string& name) {
  CheckOptions(options);
  if (problem.out_features <= 0 || problem.in_features <= 0 ||
      problem.in_features % options.group_size != 0) {
    ThrowBadInput(name + ": in_features " + std::to_string(problem.in_features) +
                  " is not a positive multiple of group_size " +
                  std::to_string(options.group_size));
  }
  return {.O = problem.out_features,
          .I = problem.in_features / options.group_size,
          .M = options.codebooks,
          .K = std::int64_t{1} << options.codebook_bits,
          .g = options.group_size};
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
  KeyedRandom random({key.seed, key.layer, key.linear, kKmeans});
  KmeansStart start = ResidualKmeans(
      state.shape, normalised.data(), options.kmeans_iterations, random, state.threads);
  state.codes = std::move(start.codes);
  state.codebooks = std::move(start.codebooks);
}

void Search(LinearState& state,
            const LinearQuantizeOptions& options,
            const LinearKey& key,
            int epoch) {
  KeyedRandom random({key.seed, key.layer, key.linear, kSearch, static_cast<std::uint64_t>(epoch)});
  for (int sweep = 0; sweep < options.sweeps; ++sweep) {
    const std::vector<std::int32_t> groups = random.Permutation(state.shape.I);
    std::vector<std::int32_t> codebooks;
    for (std::int64_t i = 0; i < state.shape.I; ++i) {
      const std::vector<std::int32_t> order = random.Permutation(state.shape.M);
      codebooks.insert(codebooks.end(), order.begin(), order.end());
    }
    kernels::CodeSearchSweep({.shape = state.shape,
                              .xtx = state.problem.xtx,
                              .codebooks = state.codebooks.data(),
                              .scales = state.scales.data(),
                              .group_order = groups.data(),
                              .codebook_order = codebooks.data(),
                              .codes = state.codes.data(),
                              .residual = state.residual.data(),
                              .product = state.product.data(),
                              .threads = state.threads});
  }
}

[[noreturn]] void ThrowDiverged(const std::string& name,
                                std::size_t epoch,
                                double loss,
                                const std::string& limit) {
  throw EngineError(FailureClass::kDiverged,
                    name + ": epoch " + std::to_string(epoch) + ": loss " + std::to_string(loss) +
                        ", allowed: " + limit);
}

// Updates and searches until an epoch gains less than the tolerance. Returns with the state right
// after a search.
int RunEpochs(LinearState& state,
              const LinearQuantizeOptions& options,
              const LinearKey& key,
              const std::string& name,
              std::vector<double>* losses) {
  AdamUpdate adam(state, options.adam_learning_rate);
  double lowest = std::numeric_limits<double>::infinity();
  for (int epoch = 0;; ++epoch) {
    state.Refresh();
    const double loss = state.Loss();
    losses->push_back(loss);
    if (!std::isfinite(loss)) {
      ThrowDiverged(name, losses->size() - 1, loss, "a finite number");
    }
    // Twice the start: searches and updates lower the loss, and a start near zero may grow by
    // rounding alone.
    if (loss > 2.0 * losses->front() && loss > 1e-6 * state.reference) {
      ThrowDiverged(name,
                    losses->size() - 1,
                    loss,
                    "at most twice the start's " + std::to_string(losses->front()));
    }
    const bool stalled = epoch > 0 && loss > (1.0 - options.relative_mse_tolerance) * lowest;
    if (stalled || epoch == options.epochs_max ||
        loss <= options.relative_loss_floor * state.reference) {
      return epoch;
    }
    lowest = std::min(lowest, loss);
    if (options.codebook_update == CodebookUpdate::kAdam) {
      adam.Run(state, options.adam_steps);
    } else {
      LeastSquaresUpdate(state, options.least_squares_steps);
    }
    Search(state, options, key, epoch);
  }
}

void RequireRange(const char* option, double value, double low, double high) {
  if (!(value >= low && value <= high)) {
    ThrowBadInput(std::string("method: ") + option + " is " + std::to_string(value) +
                  ", allowed: " + std::to_string(low) + " to " + std::to_string(high));
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
  RequireRange("adam_steps", options.adam_steps, 1, 100000);
  RequireRange("adam_learning_rate", options.adam_learning_rate, 0.0, 1.0);
}

LinearResult QuantizeLinear(const LinearProblem& problem,
                            const LinearQuantizeOptions& options,
                            const LinearKey& key,
                            const std::string& name,
                            int threads) {
  const auto start = std::chrono::steady_clock::now();
  LinearState state(problem, Shape(problem, options, name), threads);
  if (!std::isfinite(state.reference)) {
    ThrowDiverged(name,
                  0,
                  state.reference,
                  "a finite <W H, W>: the weights or the inputs hold NaN or infinity");
  }
  Initialise(state, options, key);
  LinearResult result;
  result.epochs = RunEpochs(state, options, key, name, &result.epoch_losses);
  RoundToF16(&state.codebooks);
  RoundToF16(&state.scales);
  state.Refresh();
  result.shape = state.shape;
  result.loss = state.Loss();
  if (!std::isfinite(result.loss)) {
    ThrowDiverged(name, result.epoch_losses.size(), result.loss, "values that fit f16");
  }
  result.reference = state.reference;
  result.codes = std::move(state.codes);
  result.codebooks = std::move(state.codebooks);
  result.scales = std::move(state.scales);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
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
