#include "worker/engine/run/gpu_telemetry.h"

#include <algorithm>
#include <cstdlib>
#include <dlfcn.h>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

namespace bitsweep::engine {
namespace {

// An event for each so many samples: enough for a curve, few enough for a log.
constexpr std::int64_t kSamplesPerEvent = 10;

std::vector<std::string> SplitAtCommas(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

}  // namespace

// NVML's interface, as far as it is used (NVML API Reference, "Device Queries"); 0 is success.
class GpuTelemetry::Library {
 public:
  using Device = void*;

  // Null, with the reason, where it cannot be used.
  static std::unique_ptr<Library> Open(const std::string& name, std::string* why) {
    auto library = std::unique_ptr<Library>(new Library);
    library->handle_ = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library->handle_ == nullptr) {
      *why = ::dlerror();
      return nullptr;
    }
    const bool complete = library->Find("nvmlInit_v2", &library->init_) &&
                          library->Find("nvmlShutdown", &library->shutdown_) &&
                          library->Find("nvmlDeviceGetCount_v2", &library->count_) &&
                          library->Find("nvmlDeviceGetHandleByIndex_v2", &library->by_index_) &&
                          library->Find("nvmlDeviceGetHandleByUUID", &library->by_uuid_) &&
                          library->Find("nvmlDeviceGetUtilizationRates", &library->utilisation_) &&
                          library->Find("nvmlDeviceGetMemoryInfo", &library->memory_) &&
                          library->Find("nvmlDeviceGetTotalEnergyConsumption", &library->energy_);
    if (!complete) {
      *why = name + " is of another version";
      return nullptr;
    }
    library->initialised_ = library->init_() == 0;
    *why = name + " finds no driver";
    return library->initialised_ ? std::move(library) : nullptr;
  }

  ~Library() {
    if (initialised_) {
      shutdown_();
    }
    if (handle_ != nullptr) {
      ::dlclose(handle_);
    }
  }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  // As CUDA_VISIBLE_DEVICES names them: by index or by UUID; what is not known is left out.
  std::vector<Device> Find(const std::string& visible) const {
    std::vector<std::string> names = SplitAtCommas(visible);
    unsigned count = 0;
    if (names.empty() && count_(&count) == 0) {
      for (unsigned i = 0; i < count; ++i) {
        names.push_back(std::to_string(i));
      }
    }
    std::vector<Device> devices;
    for (const std::string& name : names) {
      Device device = nullptr;
      char* end = nullptr;
      const unsigned long index = std::strtoul(name.c_str(), &end, 10);
      const bool is_index = !name.empty() && *end == '\0';
      if ((is_index ? by_index_(static_cast<unsigned>(index), &device)
                    : by_uuid_(name.c_str(), &device)) == 0) {
        devices.push_back(device);
      }
    }
    return devices;
  }

  std::optional<double> UtilisationPercent(Device device) const {
    Utilisation rates = {};
    return utilisation_(device, &rates) == 0 ? std::optional<double>(rates.gpu) : std::nullopt;
  }
  std::optional<double> MemoryBytes(Device device) const {
    Memory memory = {};
    return memory_(device, &memory) == 0
               ? std::optional<double>(static_cast<double>(memory.used))
               : std::nullopt;
  }
  // Since the driver was loaded.
  std::optional<double> EnergyJoules(Device device) const {
    unsigned long long millijoules = 0;
    return energy_(device, &millijoules) == 0
               ? std::optional<double>(static_cast<double>(millijoules) / 1e3)
               : std::nullopt;
  }

 private:
  Library() = default;

  struct Utilisation {
    unsigned gpu, memory;  // Percent.
  };
  struct Memory {
    unsigned long long total, free, used;  // Bytes.
  };

  template <typename Function>
  bool Find(const char* name, Function* function) {
    *function = reinterpret_cast<Function>(::dlsym(handle_, name));
    return *function != nullptr;
  }

  void* handle_ = nullptr;
  bool initialised_ = false;
  int (*init_)() = nullptr;
  int (*shutdown_)() = nullptr;
  int (*count_)(unsigned*) = nullptr;
  int (*by_index_)(unsigned, Device*) = nullptr;
  int (*by_uuid_)(const char*, Device*) = nullptr;
  int (*utilisation_)(Device, Utilisation*) = nullptr;
  int (*memory_)(Device, Memory*) = nullptr;
  int (*energy_)(Device, unsigned long long*) = nullptr;
};

struct GpuTelemetry::Gpu {
  Library::Device device = nullptr;
  std::optional<double> energy_before, energy;  // Joules.
  double utilisation_sum = 0.0;                 // Percent, over the samples,
  double utilisation_told = 0.0;                // and of it what events have said.
  std::int64_t samples = 0, samples_told = 0;
  double memory_peak = 0.0;
};

GpuTelemetry::GpuTelemetry(Events& events,
                           const std::string& visible,
                           const std::string& library,
                           std::chrono::milliseconds interval,
                           int devices)
    : events_(events), interval_(interval) {
  std::string why;
  library_ = Library::Open(library, &why);
  if (library_ == nullptr) {
    events_.Log("info", "GPUs are not observed: " + why);
    return;
  }
  for (void* const device : library_->Find(visible)) {
    gpus_.push_back({.device = device, .energy_before = library_->EnergyJoules(device), .energy = {}});
  }
  if (devices > 0 && gpus_.size() > static_cast<std::size_t>(devices)) {
    gpus_.resize(static_cast<std::size_t>(devices));
  }
  if (gpus_.empty()) {
    events_.Log("info", "GPUs are not observed: NVML knows none of '" + visible + "'");
    library_.reset();
    return;
  }
  thread_ = std::thread([this] { Observe(); });
}

GpuTelemetry::~GpuTelemetry() {
  try {
    Finish();
  } catch (...) {  // Nobody reads the events any more: the stage fails for that, or has failed.
  }
}

void GpuTelemetry::Observe() {
  std::unique_lock lock(mutex_);
  for (std::int64_t i = 1; !ended_.wait_for(lock, interval_, [&] { return end_; }); ++i) {
    lock.unlock();
    try {
      Sample(i % kSamplesPerEvent == 0);
    } catch (...) {  // As above.
    }
    lock.lock();
  }
}

void GpuTelemetry::Sample(bool tell) {
  for (std::size_t i = 0; i < gpus_.size(); ++i) {
    Gpu& gpu = gpus_[i];
    if (const auto percent = library_->UtilisationPercent(gpu.device)) {
      gpu.utilisation_sum += *percent;
      ++gpu.samples;
    }
    const std::optional<double> used = library_->MemoryBytes(gpu.device);
    gpu.memory_peak = std::max(gpu.memory_peak, used.value_or(0.0));
    gpu.energy = library_->EnergyJoules(gpu.device);
    if (!tell) {
      continue;
    }
    const std::string name = "gpu" + std::to_string(i) + "/";
    if (gpu.samples > gpu.samples_told) {
      events_.Metric(name + "utilisation",
                     (gpu.utilisation_sum - gpu.utilisation_told) /
                         static_cast<double>(gpu.samples - gpu.samples_told),
                     "percent");
      gpu.utilisation_told = gpu.utilisation_sum;
      gpu.samples_told = gpu.samples;
    }
    if (used) {
      events_.Metric(name + "memory_used", *used, "bytes");
    }
    if (gpu.energy && gpu.energy_before) {
      events_.Metric(name + "energy", *gpu.energy - *gpu.energy_before, "joules");
    }
  }
}

nlohmann::json GpuTelemetry::Finish() {
  nlohmann::json members = nlohmann::json::object();
  if (library_ == nullptr) {
    return members;
  }
  {
    const std::lock_guard lock(mutex_);
    end_ = true;
  }
  ended_.notify_all();
  thread_.join();
  Sample(true);
  double utilisation = 0.0, peak = 0.0;
  std::int64_t samples = 0;
  std::optional<double> energy = 0.0;
  for (std::size_t i = 0; i < gpus_.size(); ++i) {
    const Gpu& gpu = gpus_[i];
    events_.Metric("gpu" + std::to_string(i) + "/memory_used_peak", gpu.memory_peak, "bytes");
    utilisation += gpu.utilisation_sum;
    samples += gpu.samples;
    peak = std::max(peak, gpu.memory_peak);
    energy = energy && gpu.energy && gpu.energy_before
                 ? std::optional<double>(*energy + *gpu.energy - *gpu.energy_before)
                 : std::nullopt;
  }
  library_.reset();
  if (samples > 0) {
    members["gpu_utilisation_percent"] = utilisation / static_cast<double>(samples);
  }
  if (peak > 0.0) {
    members["gpu_memory_used_peak_bytes"] = static_cast<std::int64_t>(peak);
  }
  if (energy) {
    members["gpu_energy_joules"] = *energy;
  }
  return members;
}

}  // namespace bitsweep::engine
