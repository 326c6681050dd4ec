#include "worker/engine/quantize/linear_file.h"

#include <ATen/ATen.h>

#include "worker/engine/checkpoint/safetensors.h"
#include "worker/engine/error.h"

namespace bitsweep::engine {
namespace {

at::Tensor ReadMatrix(const SafetensorsFile& file, const std::string& name) {
  const at::Tensor tensor = file.Get(name);
  if (tensor.dim() != 2 || !at::isFloatingType(tensor.scalar_type())) {
    ThrowBadInput(file.path() + ": \"" + name + "\" must be a matrix of floats");
  }
  return tensor.to(at::kFloat).contiguous();
}

}  // namespace

LinearTensors ReadLinearFile(const std::string& path, at::Device device) {
  const auto file = SafetensorsFile::Open(path);
  const at::Tensor weight = ReadMatrix(*file, "weight");
  const at::Tensor xtx = ReadMatrix(*file, "xtx");
  if (xtx.size(0) != weight.size(1) || xtx.size(1) != weight.size(1)) {
    ThrowBadInput(path + ": \"xtx\" is [" + std::to_string(xtx.size(0)) + ", " +
                  std::to_string(xtx.size(1)) + "], want [" + std::to_string(weight.size(1)) +
                  ", " + std::to_string(weight.size(1)) + "] as \"weight\" has " +
                  std::to_string(weight.size(1)) + " columns");
  }
  return {.weight = weight.to(device), .xtx = xtx.to(device)};
}

}  // namespace bitsweep::engine
