#include "worker/engine/quantize/linear_spread.h"

#include <algorithm>
#include <string>

namespace bitsweep::engine {

double LinearCost(std::int64_t out_features,
                  std::int64_t in_features,
                  const LinearQuantizeOptions& options) {
  // What a product's column costs beside its depth: launches, and steps that wait for each other.
  constexpr double kStep = 1000.0;
  const double candidates = static_cast<double>(options.codebooks) *
                            static_cast<double>(std::int64_t{1} << options.codebook_bits) /
                            static_cast<double>(options.group_size);
  const auto in = static_cast<double>(in_features);
  return static_cast<double>(out_features) * in * (in + candidates + kStep);
}

LinearSpread SpreadLinears(const ModelConfig& config,
                           const LinearQuantizeOptions& options,
                           std::size_t devices) {
  const std::vector<std::string>& names = ModelConfig::LinearNames();
  std::vector<double> costs;
  LinearSpread spread;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto [out_features, in_features] = config.LinearShape(names[i]);
    costs.push_back(LinearCost(out_features, in_features, options));
    spread.work.push_back({.linear = i, .device = 0});
  }
  std::stable_sort(spread.work.begin(),
                   spread.work.end(),
                   [&](const LinearSpread::Work& a, const LinearSpread::Work& b) {
                     return costs[a.linear] > costs[b.linear];
                   });
  std::vector<double> loads(devices, 0.0);
  std::array<bool, kTapCount> has_home{};
  for (LinearSpread::Work& work : spread.work) {
    const auto least = std::min_element(loads.begin(), loads.end());
    work.device = static_cast<std::size_t>(least - loads.begin());
    *least += costs[work.linear];
    const std::size_t tap = TapOf(names[work.linear]);
    if (!has_home[tap]) {
      has_home[tap] = true;
      spread.homes[tap] = work.device;
    }
  }
  return spread;
}

}  // namespace bitsweep::engine
