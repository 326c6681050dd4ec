#include "worker/engine/quantize/method_options.h"

#include <limits>

namespace bitsweep::engine {
namespace {

constexpr std::int64_t kAnyInt = std::numeric_limits<int>::max();

}  // namespace

LinearQuantizeOptions ReadMethod(StrictObject method,
                                 std::optional<BlockTuneOptions>* block_tuning) {
  LinearQuantizeOptions options;
  const auto whole = [&method](const char* key, int fallback) {
    return static_cast<int>(method.IntOr(key, -kAnyInt, kAnyInt, fallback));
  };
  const auto number = [&method](const char* key, double fallback) {
    return method.NumberOr(
        key, std::numeric_limits<double>::lowest(), std::numeric_limits<double>::max(), fallback);
  };
  method.ChoiceOr("name", {"aqlm"}, "aqlm");
  options.codebooks = static_cast<int>(method.Int("codebooks", 1, kAnyInt));
  options.codebook_bits = static_cast<int>(method.Int("codebook_bits", 1, kAnyInt));
  options.group_size = whole("group_size", options.group_size);
  options.initialisation =
      method.ChoiceOr("initialisation", {"kmeans", "weighted-kmeans"}, "kmeans") == "kmeans"
          ? Initialisation::kKmeans
          : Initialisation::kWeightedKmeans;
  options.kmeans_iterations = whole("kmeans_iterations", options.kmeans_iterations);
  options.relative_mse_tolerance = number("relative_mse_tolerance", options.relative_mse_tolerance);
  options.relative_loss_floor = number("relative_loss_floor", options.relative_loss_floor);
  options.epochs_max = whole("epochs_max", options.epochs_max);
  options.least_squares_steps = whole("least_squares_steps", options.least_squares_steps);
  options.sweeps = whole("sweeps", options.sweeps);
  options.adam_steps = whole("adam_steps", options.adam_steps);
  options.adam_learning_rate = number("adam_learning_rate", options.adam_learning_rate);
  options.codebook_update =
      method.ChoiceOr("codebook_update", {"least_squares", "adam"}, "least_squares") == "adam"
          ? CodebookUpdate::kAdam
          : CodebookUpdate::kLeastSquares;
  options.beam_size = whole("beam_size", options.beam_size);
  if (block_tuning != nullptr && method.Has("block_tuning")) {
    *block_tuning = ReadBlockTuning(method.Object("block_tuning"));
  }
  method.Finish();
  CheckOptions(options);
  return options;
}

nlohmann::json MethodJson(const LinearQuantizeOptions& options,
                          const std::optional<BlockTuneOptions>& block_tuning) {
  nlohmann::json method = {
      {"name", "aqlm"},
      {"codebooks", options.codebooks},
      {"codebook_bits", options.codebook_bits},
      {"group_size", options.group_size},
      {"initialisation",
       options.initialisation == Initialisation::kKmeans ? "kmeans" : "weighted-kmeans"},
      {"kmeans_iterations", options.kmeans_iterations},
      {"relative_mse_tolerance", options.relative_mse_tolerance},
      {"relative_loss_floor", options.relative_loss_floor},
      {"epochs_max", options.epochs_max},
      {"codebook_update",
       options.codebook_update == CodebookUpdate::kAdam ? "adam" : "least_squares"},
      {"least_squares_steps", options.least_squares_steps},
      {"sweeps", options.sweeps},
      {"adam_steps", options.adam_steps},
      {"adam_learning_rate", options.adam_learning_rate},
      {"beam_size", options.beam_size},
  };
  if (block_tuning) {
    method["block_tuning"] = ToJson(*block_tuning);
  }
  return method;
}

}  // namespace bitsweep::engine
