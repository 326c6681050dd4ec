#include "worker/engine/model/copy_bandwidth.h"

#include <chrono>
#include <cstdint>

#include <ATen/ATen.h>

#include "worker/engine/model/device_work.h"

namespace bitsweep::engine {

double CopyBandwidth(at::Device device) {
  constexpr int kRepeats = 10;
  const std::int64_t bytes = device.is_cuda() ? std::int64_t{4} << 30 : std::int64_t{64} << 20;
  const DeviceWork work(device);
  const DeviceWork::Scope scope(work);
  const at::TensorOptions options = at::TensorOptions().dtype(at::kInt).device(device);
  const at::Tensor from = at::randint(1 << 30, {bytes / 4}, options);
  at::Tensor to = at::empty_like(from);
  to.copy_(from);
  work.MakeMark()->Await();
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < kRepeats; ++i) {
    to.copy_(from, /*non_blocking=*/true);
  }
  work.MakeMark()->Await();
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  return 2.0 * kRepeats * static_cast<double>(bytes) / seconds.count();
}

}  // namespace bitsweep::engine
