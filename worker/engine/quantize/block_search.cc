#include "worker/engine/quantize/block_search.h"

#include <algorithm>
#include <array>

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>

#include "worker/engine/device_list.h"
#include "worker/engine/tasks.h"

namespace bitsweep::engine {
namespace {

// Up to this many threads a block's linears run side by side, one thread each, which never waits at
// a barrier; beyond, one linear after the other on all threads.
constexpr int kSideBySideThreadsMax = 4;

const LinearMethod* MethodOfAll(const std::vector<at::Device>& devices,
                                const LinearQuantizeOptions& options) {
  const LinearMethod* method = nullptr;
  for (const at::Device device : devices) {
    const c10::DeviceGuard guard(device);
    const LinearMethod* const own = &ChooseLinearMethod(device, options);
    if (method != nullptr && own != method) {
      return &ChooseLinearMethod(at::kCPU, options);
    }
    method = own;
  }
  return method;
}

}  // namespace

BlockSearch::BlockSearch(const ModelConfig& config,
                         const LinearQuantizeOptions& options,
                         const std::vector<at::Device>& devices,
                         std::uint64_t seed,
                         int threads)
    : options_(options),
      devices_(devices),
      method_(MethodOfAll(devices, options)),
      spread_(SpreadLinears(config, options, devices.size())),
      seed_(seed),
      threads_(threads) {}

// The CPU's threads serve all linears: there is one CPU, or GPUs leave the linears to it.
bool BlockSearch::OnCpuOnly() const {
  return method_->on_cpu && (devices_.size() == 1 || devices_[0].is_cuda());
}

BlockStatistics::Homes BlockSearch::Homes() const {
  BlockStatistics::Homes homes = BlockStatistics::OnCpu();
  for (std::size_t tap = 0; tap < kTapCount; ++tap) {
    homes[tap] = devices_[spread_.homes[tap]];
  }
  return homes;
}

std::vector<LinearResult> BlockSearch::Run(std::int64_t layer,
                                           BlockReplicas& block,
                                           BlockStatistics& statistics,
                                           const std::function<void()>& done) const {
  const std::vector<std::string>& names = ModelConfig::LinearNames();
  // What a CPU's method takes is brought there once, though several linears share an H.
  std::array<at::Tensor, kTapCount> xtx;
  for (const std::string& name : names) {
    at::Tensor& h = xtx[TapOf(name)];
    if (!h.defined()) {
      h = OnCpuOnly() ? statistics.Xtx(name).cpu() : statistics.Xtx(name);
    }
  }
  std::vector<LinearResult> results(names.size());
  const auto one = [&](const LinearSpread::Work& work, int threads) {
    const std::size_t i = work.linear;
    const at::Device device = method_->on_cpu ? at::Device(at::kCPU) : devices_[work.device];
    const at::Tensor weight = block[work.device].weights.Linear(names[i]);
    results[i] = method_->run({.weight = weight.to(device, at::kFloat).contiguous(),
                               .xtx = xtx[TapOf(names[i])].to(device)},
                              options_,
                              {seed_, static_cast<std::uint64_t>(layer), i},
                              LinearName(layer, i),
                              threads);
    done();
  };
  if (!OnCpuOnly()) {
    RunOnDevices(devices_, [&](std::size_t device) {
      for (const LinearSpread::Work& work : spread_.work) {
        if (work.device == device) {
          one(work, 1);
        }
      }
    });
  } else if (threads_ <= kSideBySideThreadsMax) {
    RunTasks(static_cast<std::int64_t>(spread_.work.size()), threads_, [&](std::int64_t i) {
      one(spread_.work[static_cast<std::size_t>(i)], 1);
    });
  } else {
    for (const LinearSpread::Work& work : spread_.work) {
      one(work, threads_);
    }
  }
  return results;
}

std::string BlockSearch::LinearName(std::int64_t layer, std::size_t linear) {
  return "model.layers." + std::to_string(layer) + "." + ModelConfig::LinearNames()[linear];
}

QuantizedLinear ToTensors(const LinearResult& result) {
  const kernels::CodeShape& n = result.shape;
  QuantizedLinear linear;
  linear.codes = at::empty({n.O, n.I, n.M}, at::kInt);
  linear.codebooks = at::empty({n.M, n.K, 1, n.g}, at::kFloat);
  linear.scales = at::empty({n.O, 1, 1, 1}, at::kFloat);
  std::copy(result.codes.begin(), result.codes.end(), linear.codes.data_ptr<std::int32_t>());
  std::copy(result.codebooks.begin(), result.codebooks.end(), linear.codebooks.data_ptr<float>());
  std::copy(result.scales.begin(), result.scales.end(), linear.scales.data_ptr<float>());
  return linear;
}

}  // namespace bitsweep::engine
