// What a stage does to its GPUs, by the driver's management library (NVML, looked for when it runs:
// no build needs it): utilisation, memory and energy as metric events while the stage runs, and as
// members of its summary. It exists so that a study's cost in GPU time and energy is in its log.
// Thread rule: one thread of its own between construction and Finish; Events serves both.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <thread>
#include <vector>

#include "worker/engine/events.h"

namespace bitsweep::engine {

class GpuTelemetry {
 public:
  static constexpr const char* kLibrary = "libnvidia-ml.so.1";
  static constexpr std::chrono::milliseconds kInterval{1000};

  /// `visible`: as CUDA_VISIBLE_DEVICES, whose GPUs are observed; empty: all. Where there is no
  /// NVML, or it knows no such GPU, one log event says so and nothing is observed. `devices`: only the
  /// first so many; 0: all.
  GpuTelemetry(Events& events,
               const std::string& visible,
               const std::string& library = kLibrary,
               std::chrono::milliseconds interval = kInterval,
               int devices = 0);
  ~GpuTelemetry();
  GpuTelemetry(const GpuTelemetry&) = delete;
  GpuTelemetry& operator=(const GpuTelemetry&) = delete;

  /// Ends it -> members of a summary, over all observed GPUs: `gpu_utilisation_percent` (mean of
  /// GPUs and samples), `gpu_memory_used_peak_bytes` (greatest of a GPU, other processes included),
  /// `gpu_energy_joules` (sum; absent where a GPU does not count it). Empty where nothing was
  /// observed.
  nlohmann::json Finish();

 private:
  class Library;
  struct Gpu;

  void Observe();
  void Sample(bool tell);

  Events& events_;
  const std::chrono::milliseconds interval_;
  std::unique_ptr<Library> library_;  // Null: nothing is observed.
  std::vector<Gpu> gpus_;             // Of the thread, until it has ended.
  std::mutex mutex_;
  std::condition_variable ended_;
  bool end_ = false;  // Under mutex_.
  std::thread thread_;
};

}  // namespace bitsweep::engine
