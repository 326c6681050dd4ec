#include "worker/engine/device_list.h"

#include <exception>
#include <thread>

#include <ATen/Context.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/GradMode.h>

#include "worker/engine/error.h"
#include "worker/engine/numerics.h"
#include "worker/engine/tasks.h"

namespace bitsweep::engine {

std::vector<at::Device> DevicesOf(const Numerics& numerics) {
  const at::Device first = DeviceOf(numerics);
  const int visible = first.is_cuda() ? at::detail::getCUDAHooks().getNumGPUs() : 1;
  if (numerics.devices > visible) {
    ThrowBadInput("devices " + std::to_string(numerics.devices) + ": this process sees " +
                  std::to_string(visible) + " of device " + numerics.device);
  }
  const int count = numerics.devices > 0 ? numerics.devices : visible;
  std::vector<at::Device> devices = {first};
  for (int i = 1; i < count; ++i) {
    devices.emplace_back(first.type(), static_cast<c10::DeviceIndex>(i));
  }
  return devices;
}

std::string DeviceNames(const std::vector<at::Device>& devices) {
  std::string names;
  for (const at::Device device : devices) {
    names += (names.empty() ? "" : ", ") + device.str();
  }
  return names;
}

void RunOnDevices(const std::vector<at::Device>& devices,
                  const std::function<void(std::size_t)>& task) {
  if (devices.size() == 1) {
    const c10::DeviceGuard guard(devices[0]);
    task(0);
    return;
  }
  const OneTorchThread one_thread;
  const bool gradients = c10::GradMode::is_enabled();
  std::vector<std::exception_ptr> failures(devices.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    threads.emplace_back([&, i] {
      try {
        const c10::AutoGradMode mode(gradients);
        const c10::DeviceGuard guard(devices[i]);
        task(i);
      } catch (...) {
        failures[i] = std::current_exception();
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  for (const std::exception_ptr& failure : failures) {
    if (failure) {
      std::rethrow_exception(failure);
    }
  }
}

}  // namespace bitsweep::engine
