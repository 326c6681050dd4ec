#include <algorithm>
#include <cmath>
#include <vector>

#include "worker/kernels/code_mixture.h"

namespace bitsweep::kernels {
namespace {

// softmax of a group's logits over the temperature.
std::vector<double> SharesOf(const CodeMixture& mixture, std::int64_t group) {
  const float* logits = mixture.logits + group * mixture.T;
  const double largest = *std::max_element(logits, logits + mixture.T);
  std::vector<double> shares;
  double sum = 0.0;
  for (std::int64_t t = 0; t < mixture.T; ++t) {
    shares.push_back(std::exp((logits[t] - largest) / mixture.temperature));
    sum += shares.back();
  }
  for (double& share : shares) {
    share /= sum;
  }
  return shares;
}

// Component d of a group's alternative t.
double SumOf(const CodeMixture& mixture, std::int64_t group, std::int64_t t, std::int64_t d) {
  const CodeShape& n = mixture.shape;
  double sum = 0.0;
  for (std::int64_t m = 0; m < n.M; ++m) {
    const std::int64_t code = mixture.alternatives[(group * mixture.T + t) * n.M + m];
    sum += mixture.codebooks[(m * n.K + code) * n.g + d];
  }
  return sum;
}

}  // namespace

KernelStatus MixCodesRef(const CodeMixture& mixture, float* out) {
  const CodeShape& n = mixture.shape;
  if (!mixture.Valid()) {
    return KernelStatus::kBadShape;
  }
  for (std::int64_t group = 0; group < n.O * n.I; ++group) {
    const std::vector<double> shares = SharesOf(mixture, group);
    for (std::int64_t d = 0; d < n.g; ++d) {
      double sum = 0.0;
      for (std::int64_t t = 0; t < mixture.T; ++t) {
        sum += shares[static_cast<std::size_t>(t)] * SumOf(mixture, group, t, d);
      }
      out[group * n.g + d] = static_cast<float>(mixture.scales[group / n.I] * sum);
    }
  }
  return KernelStatus::kOk;
}

KernelStatus PullMixtureRef(const CodeMixture& mixture,
                            const float* slope,
                            const CodeMixtureGradient& out) {
  const CodeShape& n = mixture.shape;
  if (!mixture.Valid()) {
    return KernelStatus::kBadShape;
  }
  for (std::int64_t group = 0; group < n.O * n.I; ++group) {
    const std::vector<double> shares = SharesOf(mixture, group);
    const double scale = mixture.scales[group / n.I];
    std::vector<double> dots;
    double mean = 0.0;
    for (std::int64_t t = 0; t < mixture.T; ++t) {
      double dot = 0.0;
      for (std::int64_t d = 0; d < n.g; ++d) {
        dot += slope[group * n.g + d] * SumOf(mixture, group, t, d);
      }
      dots.push_back(dot);
      mean += shares[static_cast<std::size_t>(t)] * dot;
    }
    out.dots[group] = static_cast<float>(mean);
    for (std::int64_t t = 0; t < mixture.T; ++t) {
      const double share = scale * shares[static_cast<std::size_t>(t)];
      out.entry_scales[group * mixture.T + t] = static_cast<float>(share);
      out.logits[group * mixture.T + t] = static_cast<float>(
          share * (dots[static_cast<std::size_t>(t)] - mean) / mixture.temperature);
    }
  }
  return KernelStatus::kOk;
}

}  // namespace bitsweep::kernels
