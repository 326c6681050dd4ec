#include "worker/kernels/code_mixture.h"
#include "worker/kernels/launch.cuh"

namespace bitsweep::kernels {
namespace {

constexpr int kThreads = 256;
constexpr int kGroup = 8;  // Weights, and the lanes that a group has.

// What softmax needs of a group's logits. Each of its lanes reads all of them: they are few, and
// one line of the cache.
struct Softmax {
  const float* logits;
  float by_temperature;
  float largest;
  float by_sum;

  __device__ Softmax(const CodeMixture& mixture, std::int64_t group)
      : logits(mixture.logits + group * mixture.T), by_temperature(1.0F / mixture.temperature) {
    largest = __ldg(logits);
    for (int t = 1; t < mixture.T; ++t) {
      largest = fmaxf(largest, __ldg(logits + t));
    }
    float sum = 0.0F;
    for (int t = 0; t < mixture.T; ++t) {
      sum += Weight(t);
    }
    by_sum = 1.0F / sum;
  }
  __device__ float Weight(int t) const {
    return expf((__ldg(logits + t) - largest) * by_temperature);
  }
  __device__ float Share(int t) const { return Weight(t) * by_sum; }
};

// Component d of a group's alternative t.
__device__ inline float SumOf(const CodeMixture& mixture, std::int64_t group, int t, int d) {
  const CodeShape& n = mixture.shape;
  const std::int32_t* codes = mixture.alternatives + (group * mixture.T + t) * n.M;
  float sum = 0.0F;
  for (int m = 0; m < n.M; ++m) {
    sum += __ldg(mixture.codebooks + (m * n.K + __ldg(codes + m)) * kGroup + d);
  }
  return sum;
}

// A thread takes one weight.
__global__ void MixAll(CodeMixture mixture, float* __restrict__ out) {
  const std::int64_t at = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const std::int64_t group = at / kGroup;
  const CodeShape& n = mixture.shape;
  if (group >= n.O * n.I) {
    return;
  }
  const Softmax softmax(mixture, group);
  float sum = 0.0F;
  for (int t = 0; t < mixture.T; ++t) {
    sum = fmaf(softmax.Share(t), SumOf(mixture, group, t, static_cast<int>(at % kGroup)), sum);
  }
  out[at] = __ldg(mixture.scales + group / n.I) * sum;
}

// A lane takes one weight of its group, and then every eighth alternative.
__global__ void PullAll(CodeMixture mixture,
                        const float* __restrict__ slope,
                        CodeMixtureGradient out) {
  const std::int64_t at = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const int lane = static_cast<int>(at % kGroup);
  const CodeShape& n = mixture.shape;
  const bool is_inside = at / kGroup < n.O * n.I;
  // Lanes beyond the last group help it with its sums and keep nothing.
  const std::int64_t group = is_inside ? at / kGroup : n.O * n.I - 1;
  const Softmax softmax(mixture, group);
  const float mine = __ldg(slope + group * kGroup + lane);
  float mean = 0.0F;
  for (int t = 0; t < mixture.T; ++t) {
    float dot = mine * SumOf(mixture, group, t, lane);
    for (int apart = 1; apart < kGroup; apart *= 2) {
      dot += __shfl_xor_sync(0xffffffffU, dot, apart);
    }
    mean = fmaf(softmax.Share(t), dot, mean);
    if (is_inside && t % kGroup == lane) {
      out.logits[group * mixture.T + t] = dot;  // Read again below, by this lane.
    }
  }
  if (!is_inside) {
    return;
  }
  const float scale = __ldg(mixture.scales + group / n.I);
  for (std::int64_t t = lane; t < mixture.T; t += kGroup) {
    const float share = scale * softmax.Share(static_cast<int>(t));
    out.entry_scales[group * mixture.T + t] = share;
    float* logit = out.logits + group * mixture.T + t;
    *logit = share * (*logit - mean) * softmax.by_temperature;
  }
  if (lane == 0) {
    out.dots[group] = mean;
  }
}

bool IsServed(const CodeMixture& mixture) {
  return mixture.Valid() && mixture.shape.g == kGroup;
}

}  // namespace

KernelStatus MixCodesCuda(const CodeMixture& mixture, float* out, DeviceStream stream) {
  if (!IsServed(mixture)) {
    return KernelStatus::kBadShape;
  }
  const std::int64_t weights = mixture.shape.O * mixture.shape.I * kGroup;
  MixAll<<<Blocks(weights, kThreads), kThreads, 0, stream>>>(mixture, out);
  return LaunchStatus();
}

KernelStatus PullMixtureCuda(const CodeMixture& mixture,
                             const float* slope,
                             const CodeMixtureGradient& out,
                             DeviceStream stream) {
  if (!IsServed(mixture)) {
    return KernelStatus::kBadShape;
  }
  const std::int64_t weights = mixture.shape.O * mixture.shape.I * kGroup;
  PullAll<<<Blocks(weights, kThreads), kThreads, 0, stream>>>(mixture, slope, out);
  return LaunchStatus();
}

}  // namespace bitsweep::kernels
