// The order of a decoder's work on its device: a stream of its own, marks to wait for, recorded
// work to repeat. On the CPU everything happens at once, so that the same decoder runs there in
// tests. It exists so that decoders name no CUDA. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include <ATen/core/Tensor.h>

#include "worker/kernels/device.h"

namespace bitsweep::engine {

class DeviceWork {
 public:
  explicit DeviceWork(at::Device device);
  ~DeviceWork();
  DeviceWork(const DeviceWork&) = delete;
  DeviceWork& operator=(const DeviceWork&) = delete;

  /// While it lives, torch's operations of this thread go to the stream.
  class Scope {
   public:
    explicit Scope(const DeviceWork& work);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
  };

  /// Null on the CPU.
  kernels::DeviceStream stream() const;
  /// Host memory of the kind that is copied without waiting.
  at::Tensor Host(at::IntArrayRef sizes, at::ScalarType dtype) const;
  /// i32 [count] of it.
  at::Tensor HostInts(std::int64_t count) const { return Host({count}, at::kInt); }

  /// A point in the order of the work; Await returns when everything before it is done.
  class Mark {
   public:
    virtual ~Mark() = default;
    virtual void Await() = 0;
  };
  std::unique_ptr<Mark> MakeMark() const;

  /// What is queued here from now on begins after what has been queued on `other`, which may be
  /// another device's. The host does not wait.
  void WaitFor(const DeviceWork& other) const;

  /// Work to repeat: what `work` queues, with the same addresses every time. REQUIRES: `work` ran
  /// before with these sizes (libraries take their own memory then). On the CPU it is called
  /// again.
  class Recording {
   public:
    virtual ~Recording() = default;
    virtual void Run() = 0;
  };
  std::unique_ptr<Recording> Record(std::function<void()> work) const;

  /// Bytes of device memory that can still be taken; a very large number on the CPU.
  static std::int64_t FreeBytes(at::Device device);
  /// From now on this process's tensors take at most `bytes` of a GPU's memory, as if it had no
  /// more; what the driver keeps for the process is not counted. 0: what the GPU has. Nothing on
  /// the CPU.
  static void LimitBytes(at::Device device, std::int64_t bytes);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bitsweep::engine
