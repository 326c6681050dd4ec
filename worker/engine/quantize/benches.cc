#include "worker/engine/quantize/benches.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "worker/engine/error.h"
#include "worker/engine/numerics.h"
#include "worker/engine/quantize/linear_file.h"
#include "worker/engine/quantize/linear_methods.h"
#include "worker/engine/quantize/method_options.h"

namespace bitsweep::engine {
namespace {

struct BenchFlags {
  // The linears of a 7B Llama model: attention; gate and up; down.
  std::vector<std::string> shapes = {"4096x4096", "11008x4096", "4096x11008"};
  std::vector<std::string> configs = {"1x15", "2x8", "2x12", "2x15", "4x15"};
  std::vector<std::string> inputs;  // Instead of shapes.
  int seeds = 3;
  std::int64_t samples = 16384;
  std::string method = "{}";
};

std::pair<std::int64_t, std::int64_t> Pair(const std::string& text, const char* option) {
  long long first = 0;
  long long second = 0;
  int used = 0;
  if (std::sscanf(text.c_str(), "%lldx%lld%n", &first, &second, &used) != 2 ||
      used != static_cast<int>(text.size()) || first < 1 || second < 1) {
    ThrowBadInput(std::string(option) + ": '" + text + "', want two positive numbers as 4096x4096");
  }
  return {first, second};
}

// Weights and inputs as tests of the quantizer have had them from the start: W ~ N(0, 0.02^2);
// X = (Z i^-0.4) Q + 0.05 N with Z, N standard normal and Q a random rotation; H = X^T X / samples.
LinearTensors Synthetic(std::int64_t out_features,
                        std::int64_t in_features,
                        std::int64_t samples,
                        std::uint64_t seed,
                        at::Device device) {
  at::manual_seed(seed);
  const at::TensorOptions options = at::TensorOptions().dtype(at::kFloat).device(device);
  LinearTensors tensors;
  tensors.weight = at::randn({out_features, in_features}, options) * 0.02;
  const at::Tensor rotation =
      std::get<0>(at::linalg_qr(at::randn({in_features, in_features}, options)));
  at::Tensor x = at::randn({samples, in_features}, options) *
                 at::pow(at::arange(1, in_features + 1, options), -0.4);
  x = at::mm(x, rotation) + at::randn({samples, in_features}, options) * 0.05;
  const at::Tensor sums = at::mm(x.t(), x);
  tensors.xtx = (sums + sums.t()) / (2.0 * static_cast<double>(samples));
  return tensors;
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// A shape, or a file with a linear.
LinearTensors Problem(const BenchFlags& flags,
                      const std::string& linear,
                      std::uint64_t seed,
                      at::Device device) {
  if (!flags.inputs.empty()) {
    return ReadLinearFile(linear, device);
  }
  const auto [out_features, in_features] = Pair(linear, "--shapes");
  return Synthetic(out_features, in_features, flags.samples, seed, device);
}

void Measure(const BenchFlags& flags,
             const std::string& shape,
             const std::string& config,
             const VerbContext& context) {
  const auto [codebooks, bits] = Pair(config, "--configs");
  nlohmann::json members = {{"codebooks", codebooks}, {"codebook_bits", bits}};
  members.update(nlohmann::json::parse(flags.method));
  const LinearQuantizeOptions options = ReadMethod({members, "--method"});
  const at::Device device = DeviceOf(context.numerics);
  const LinearMethod& method = ChooseLinearMethod(device, options);
  // A short run first: loading kernels and growing torch's memory pool are paid once a process.
  LinearQuantizeOptions short_run = options;
  short_run.epochs_max = 1;
  short_run.kmeans_iterations = 1;
  method.run(Problem(flags, shape, 0, device),
             short_run,
             {},
             shape,
             context.threads);
  std::vector<double> seconds, losses, start, update, search, epochs, rates;
  for (int seed = 0; seed < flags.seeds; ++seed) {
    const auto key = static_cast<std::uint64_t>(seed);
    const LinearTensors tensors = Problem(flags, shape, key, device);
    const LinearResult result =
        method.run(tensors, options, {.seed = key, .layer = 0, .linear = 0}, shape, context.threads);
    const kernels::CodeShape& n = result.shape;
    seconds.push_back(result.seconds);
    losses.push_back(result.relative_loss());
    start.push_back(result.seconds_start);
    update.push_back(result.seconds_update);
    search.push_back(result.seconds_search);
    epochs.push_back(result.epochs);
    rates.push_back(static_cast<double>(n.O * n.I * n.M * n.K) * options.sweeps * result.epochs /
                    std::max(result.seconds_search, 1e-9));
  }
  const auto [fastest, slowest] = std::minmax_element(seconds.begin(), seconds.end());
  std::printf("| %s | %s | %.3f | %.3f-%.3f | %.5f | %.0f | %.3f | %.3f | %.3f | %.2e | %s |\n",
              shape.c_str(),
              config.c_str(),
              Median(seconds),
              *fastest,
              *slowest,
              Median(losses),
              Median(epochs),
              Median(start),
              Median(update),
              Median(search),
              Median(rates),
              method.name);
  std::fflush(stdout);
}

DirectVerb ConfigureQuantize(CLI::App& app) {
  const auto flags = std::make_shared<BenchFlags>();
  app.add_option("--shapes", flags->shapes, "Linears, out x in")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--input", flags->inputs, "Files as quantize-linear takes, instead of shapes")
      ->delimiter(',');
  app.add_option("--configs", flags->configs, "Codebooks x bits a code")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--seeds", flags->seeds, "Problems a row, each with its seed")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--samples", flags->samples, "Inputs behind each H")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--method", flags->method, "Further members of a stage's method, as JSON")
      ->capture_default_str();
  return [flags](const VerbContext& context) {
    const c10::NoGradGuard no_grad;
    std::puts(
        "| linear | codes | seconds, median | range | relative loss | epochs | k-means s | updates s "
        "| searches s | candidates/s | by |\n|---|---|---|---|---|---|---|---|---|---|---|");
    for (const std::string& shape : flags->inputs.empty() ? flags->shapes : flags->inputs) {
      for (const std::string& config : flags->configs) {
        Measure(*flags, shape, config, context);
      }
    }
  };
}

}  // namespace

void RegisterQuantizeBenches(BenchRegistry& benches) {
  benches.Add("quantize", "Quantize synthetic linears", ConfigureQuantize);
}

}  // namespace bitsweep::engine
