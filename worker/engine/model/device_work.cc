#include "worker/engine/model/device_work.h"

#include <algorithm>
#include <limits>
#include <map>
#include <mutex>
#include <utility>

#include <ATen/ATen.h>

#if defined(BITSWEEP_CUDA)
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#endif

namespace bitsweep::engine {
namespace {

class NoMark final : public DeviceWork::Mark {
 public:
  void Await() override {}
};

class Repeat final : public DeviceWork::Recording {
 public:
  explicit Repeat(std::function<void()> work) : work_(std::move(work)) {}
  void Run() override { work_(); }

 private:
  const std::function<void()> work_;
};

#if defined(BITSWEEP_CUDA)
// Limits that LimitBytes set, by number of the GPU.
struct Limits {
  std::mutex mutex;
  std::map<int, std::int64_t> bytes;
};
Limits& TheLimits() {
  static Limits limits;
  return limits;
}

class EventMark final : public DeviceWork::Mark {
 public:
  explicit EventMark(const c10::cuda::CUDAStream& stream) { event_.record(stream); }
  void Await() override { event_.synchronize(); }

 private:
  at::cuda::CUDAEvent event_;
};

class Graph final : public DeviceWork::Recording {
 public:
  // REQUIRES: the current stream is the decoder's own.
  explicit Graph(const std::function<void()>& work) {
    // Other devices' threads may take memory meanwhile; this one does nothing but `work`.
    graph_.capture_begin(/*pool=*/{0, 0}, cudaStreamCaptureModeThreadLocal);
    work();
    graph_.capture_end();
  }
  void Run() override { graph_.replay(); }

 private:
  at::cuda::CUDAGraph graph_;
};
#endif

}  // namespace

struct DeviceWork::Impl {
#if defined(BITSWEEP_CUDA)
  std::unique_ptr<c10::cuda::CUDAStream> stream;
#endif
};

struct DeviceWork::Scope::Impl {
#if defined(BITSWEEP_CUDA)
  explicit Impl(const c10::cuda::CUDAStream& stream) : guard(stream) {}
  c10::cuda::CUDAStreamGuard guard;
#endif
};

DeviceWork::DeviceWork(at::Device device) : impl_(std::make_unique<Impl>()) {
#if defined(BITSWEEP_CUDA)
  if (device.is_cuda()) {
    // What made the weights was queued on the default stream.
    c10::cuda::getCurrentCUDAStream(device.index()).synchronize();
    impl_->stream = std::make_unique<c10::cuda::CUDAStream>(
        c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device.index()));
  }
#else
  (void)device;
#endif
}

DeviceWork::~DeviceWork() {
#if defined(BITSWEEP_CUDA)
  if (impl_->stream != nullptr) {
    cudaStreamSynchronize(impl_->stream->stream());  // Errors were the last caller's to see.
  }
#endif
}

DeviceWork::Scope::Scope(const DeviceWork& work) {
#if defined(BITSWEEP_CUDA)
  if (work.impl_->stream != nullptr) {
    impl_ = std::make_unique<Impl>(*work.impl_->stream);
  }
#else
  (void)work;
#endif
}

DeviceWork::Scope::~Scope() = default;

kernels::DeviceStream DeviceWork::stream() const {
#if defined(BITSWEEP_CUDA)
  if (impl_->stream != nullptr) {
    return impl_->stream->stream();
  }
#endif
  return nullptr;
}

at::Tensor DeviceWork::Host(at::IntArrayRef sizes, at::ScalarType dtype) const {
  bool pinned = false;
#if defined(BITSWEEP_CUDA)
  pinned = impl_->stream != nullptr;
#endif
  return at::empty(sizes, at::TensorOptions().dtype(dtype).pinned_memory(pinned));
}

std::unique_ptr<DeviceWork::Mark> DeviceWork::MakeMark() const {
#if defined(BITSWEEP_CUDA)
  if (impl_->stream != nullptr) {
    return std::make_unique<EventMark>(*impl_->stream);
  }
#endif
  return std::make_unique<NoMark>();
}

void DeviceWork::WaitFor(const DeviceWork& other) const {
#if defined(BITSWEEP_CUDA)
  if (impl_->stream != nullptr && other.impl_->stream != nullptr) {
    at::cuda::CUDAEvent event;
    event.record(*other.impl_->stream);
    event.block(*impl_->stream);
  }
#else
  (void)other;
#endif
}

std::unique_ptr<DeviceWork::Recording> DeviceWork::Record(std::function<void()> work) const {
#if defined(BITSWEEP_CUDA)
  if (impl_->stream != nullptr) {
    return std::make_unique<Graph>(work);
  }
#endif
  return std::make_unique<Repeat>(std::move(work));
}

std::int64_t DeviceWork::FreeBytes(at::Device device) {
#if defined(BITSWEEP_CUDA)
  if (device.is_cuda()) {
    const c10::cuda::CUDAGuard guard(device);
    c10::cuda::CUDACachingAllocator::emptyCache();
    std::size_t free = 0;
    std::size_t total = 0;
    C10_CUDA_CHECK(cudaMemGetInfo(&free, &total));
    Limits& limits = TheLimits();
    const std::lock_guard lock(limits.mutex);
    const auto limit = limits.bytes.find(device.index());
    if (limit == limits.bytes.end()) {
      return static_cast<std::int64_t>(free);
    }
    const std::int64_t held =
        c10::cuda::CUDACachingAllocator::getDeviceStats(device.index()).reserved_bytes[0].current;
    return std::min(static_cast<std::int64_t>(free),
                    std::max<std::int64_t>(0, limit->second - held));
  }
#endif
  (void)device;
  return std::numeric_limits<std::int64_t>::max() / 4;
}

void DeviceWork::LimitBytes(at::Device device, std::int64_t bytes) {
#if defined(BITSWEEP_CUDA)
  if (device.is_cuda()) {
    const c10::cuda::CUDAGuard guard(device);
    Limits& limits = TheLimits();
    const std::lock_guard lock(limits.mutex);
    if (limits.bytes.count(device.index()) == 0) {
      // The allocator knows a device once it was asked for memory there.
      at::empty({1}, at::TensorOptions().dtype(at::kInt).device(device));
    }
    std::size_t free = 0;
    std::size_t total = 0;
    C10_CUDA_CHECK(cudaMemGetInfo(&free, &total));
    limits.bytes.erase(device.index());
    double fraction = 1.0;
    if (bytes > 0 && bytes < static_cast<std::int64_t>(total)) {
      limits.bytes[device.index()] = bytes;
      fraction = static_cast<double>(bytes) / static_cast<double>(total);
    }
    c10::cuda::CUDACachingAllocator::setMemoryFraction(fraction, device.index());
  }
#else
  (void)device;
  (void)bytes;
#endif
}

}  // namespace bitsweep::engine
