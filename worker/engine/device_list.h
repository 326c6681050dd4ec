// The devices that one stage works on, and one host thread for each of them. It exists so that work
// is written against a list: a test runs it on the CPU several times over, a lease of several GPUs
// of one host on these. Thread rule: any thread; RunOnDevices is not called inside its own task.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include <c10/core/Device.h>

#include "worker/engine/stage.h"

namespace bitsweep::engine {

/// "cpu": {cpu}. "cuda": cuda:0, cuda:1, ... as CUDA_VISIBLE_DEVICES lets this process see them, the
/// first `numerics.devices` where that is not 0. Never empty. Throws kBadInput as DeviceOf, and
/// where more are asked for than there are.
std::vector<at::Device> DevicesOf(const Numerics& numerics);

/// For logs: "cuda:0, cuda:1".
std::string DeviceNames(const std::vector<at::Device>& devices);

/// Calls task(0) .. task(devices.size() - 1) side by side, each with its device as the current one
/// and with the caller's gradient mode, and returns when all have ended; the first failure, in the
/// order of devices, is thrown then. A single device's task runs on the caller's thread. With more,
/// each device has a thread, on which tensor operations on the CPU are not divided further. A task
/// that waits for another must learn of the other's failure by itself.
void RunOnDevices(const std::vector<at::Device>& devices,
                  const std::function<void(std::size_t)>& task);

}  // namespace bitsweep::engine
