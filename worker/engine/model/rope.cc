#include <cmath>
#include <numbers>
#include <vector>

#include <ATen/ATen.h>

#include "worker/engine/error.h"
#include "worker/engine/model/llama.h"

namespace bitsweep::engine {
namespace {

// Llama 3's scaling: long wavelengths are stretched by `factor`, short ones stay, those between are
// blended linearly.
double ScaleLlama3(const RopeConfig& rope, double frequency) {
  const double wavelength = 2.0 * std::numbers::pi / frequency;
  const double context = static_cast<double>(rope.original_max_position_embeddings);
  if (wavelength < context / rope.high_freq_factor) {
    return frequency;
  }
  if (wavelength > context / rope.low_freq_factor) {
    return frequency / rope.factor;
  }
  const double smooth = (context / wavelength - rope.low_freq_factor) /
                        (rope.high_freq_factor - rope.low_freq_factor);
  return (1.0 - smooth) * frequency / rope.factor + smooth * frequency;
}

double ScaleFrequency(const RopeConfig& rope, double frequency) {
  if (rope.type == "default") {
    return frequency;
  }
  if (rope.type == "linear") {
    return frequency / rope.factor;
  }
  if (rope.type == "llama3") {
    return ScaleLlama3(rope, frequency);
  }
  ThrowBadInput("rope type \"" + rope.type +
                "\" is not supported; allowed: default, linear, llama3");
}

}  // namespace

RopeTable MakeRopeTable(const ModelConfig& config, std::int64_t max_positions, at::Device device) {
  const std::int64_t half = config.head_dim / 2;
  // The frequencies are rounded to f32 before they are multiplied, as transformers does: at
  // position 2,000 the angle of the first pair differs from the double one by 1e-4, which the
  // goldens' logits can see.
  at::Tensor frequencies = at::empty({half}, at::kFloat);
  float* values = frequencies.data_ptr<float>();
  for (std::int64_t i = 0; i < half; ++i) {
    const double exponent = 2.0 * static_cast<double>(i) / static_cast<double>(config.head_dim);
    values[i] =
        static_cast<float>(ScaleFrequency(config.rope, std::pow(config.rope.theta, -exponent)));
  }
  const at::Tensor positions = at::arange(max_positions, at::kFloat);
  const at::Tensor angles = at::outer(positions, frequencies);  // [max_positions, D / 2]
  const at::Tensor both = at::cat({angles, angles}, 1);         // [max_positions, D]
  return {both.cos().to(device), both.sin().to(device)};
}

at::Tensor ApplyRope(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  const std::int64_t half = x.size(-1) / 2;
  const at::Tensor wide = x.to(at::kFloat);
  const at::Tensor rotated =
      at::cat({wide.narrow(-1, half, half).neg(), wide.narrow(-1, 0, half)}, -1);
  return (wide * cos + rotated * sin).to(x.scalar_type());
}

}  // namespace bitsweep::engine
