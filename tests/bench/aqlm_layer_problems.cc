// The layer quantizer against the AQLM reference quantizer: every linear of
// tests/golden/aqlm-reference/layer-problems, several seeds, the median of each linear's seeds.
// Prints one line a linear and, last, one line of JSON with the mean over linears of log(ours /
// reference), the worst ratio, and the seconds one pass over all linears took.
//   build/release/tests/aqlm_layer_problems [--seeds 3] [--threads 2] [--codebooks 2] [--method
//   JSON] [--device cuda]
// --method takes any member of a stage's `method` (worker/engine/quantize/method_options.h).
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include <ATen/ATen.h>

#include "worker/engine/checkpoint/safetensors.h"
#include "worker/engine/numerics.h"
#include "worker/engine/quantize/linear_methods.h"
#include "worker/engine/quantize/method_options.h"

namespace {

using bitsweep::engine::LinearResult;

struct Totals {
  double log_ratio = 0.0, worst = 0.0, seconds = 0.0, log_relative = 0.0, epochs = 0.0;
  int linears = 0;
};

void Measure(const nlohmann::json& reference,
             const std::string& folder,
             const nlohmann::json& method,
             int seeds,
             int threads,
             at::Device device,
             Totals* totals) {
  const auto options = bitsweep::engine::ReadMethod({method, "--method"});
  const auto name = reference.at("layer").get<std::string>();  // "model.layers.3.mlp.up_proj"
  const auto file = bitsweep::engine::SafetensorsFile::Open(folder + "/layer" + name.substr(13, 1) +
                                                            "_" + name.substr(15) + ".safetensors");
  const at::Tensor weight = file->Get("weight").contiguous();
  const at::Tensor xtx = file->Get("xtx").contiguous();
  const auto& quantizer = bitsweep::engine::ChooseLinearMethod(device, options);
  std::vector<LinearResult> results;
  for (int seed = 0; seed < seeds; ++seed) {
    const auto linear = static_cast<std::uint64_t>(totals->linears);
    results.push_back(quantizer.run(
        {.weight = weight.to(device), .xtx = xtx.to(device)},
        options,
        {.seed = static_cast<std::uint64_t>(seed), .layer = linear / 7, .linear = linear % 7},
        name,
        threads));
    totals->seconds += results.back().seconds / seeds;
    totals->epochs += static_cast<double>(results.back().epochs) / seeds;
  }
  std::sort(results.begin(), results.end(), [](const LinearResult& a, const LinearResult& b) {
    return a.loss < b.loss;
  });
  const LinearResult& median = results[results.size() / 2];
  double mean_log = 0.0;  // Over the seeds: what two devices are compared by.
  for (const LinearResult& result : results) {
    mean_log += std::log(result.loss) / seeds;
  }
  const double ratio = median.loss / reference.at("loss").get<double>();
  std::printf("%-34s ratio %.4f relative %.6f epochs %d start %.4f mean-log %.6f\n",
              name.c_str(),
              ratio,
              median.relative_loss(),
              median.epochs,
              median.epoch_losses.front() / median.reference,
              mean_log);
  totals->log_ratio += std::log(ratio);
  totals->log_relative += std::log(median.relative_loss());
  totals->worst = std::max(totals->worst, ratio);
  ++totals->linears;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("The layer quantizer against the AQLM reference's losses");
  std::string folder = "tests/golden/aqlm-reference/layer-problems";
  std::string method_text = "{}";
  int seeds = 3;
  int threads = 2;
  int codebooks = 2;
  bitsweep::engine::Numerics numerics;
  app.add_option("--folder", folder, "Weights, H and reference_losses.json");
  app.add_option("--method", method_text, "JSON object of method options");
  app.add_option("--seeds", seeds)->check(CLI::PositiveNumber);
  app.add_option("--threads", threads)->check(CLI::PositiveNumber);
  app.add_option("--codebooks", codebooks, "The reference's losses are for 2");
  app.add_option("--device", numerics.device, "cpu or cuda");
  CLI11_PARSE(app, argc, argv);
  nlohmann::json method = {{"codebooks", codebooks}, {"codebook_bits", 8}};
  method.update(nlohmann::json::parse(method_text));
  Totals totals;
  std::ifstream losses(folder + "/reference_losses.json");
  for (const nlohmann::json& reference : nlohmann::json::parse(losses)) {
    Measure(reference,
            folder,
            method,
            seeds,
            threads,
            bitsweep::engine::DeviceOf(numerics),
            &totals);
  }
  const auto options = bitsweep::engine::ReadMethod({method, "--method"});
  const auto& quantizer =
      bitsweep::engine::ChooseLinearMethod(bitsweep::engine::DeviceOf(numerics), options);
  const nlohmann::json line = {
      {"method", quantizer.name},
      {"mean_log_ratio", totals.log_ratio / totals.linears},
      {"worst_ratio", totals.worst},
      {"seconds", totals.seconds},
      {"mean_epochs", totals.epochs / totals.linears},
      {"geometric_relative_loss", std::exp(totals.log_relative / totals.linears)}};
  std::printf("%s\n", line.dump().c_str());
  return 0;
}
