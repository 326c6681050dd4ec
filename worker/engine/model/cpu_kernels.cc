#include "worker/engine/model/cpu_kernels.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string_view>

namespace bitsweep::engine {
namespace {

struct Available {
  std::array<const CpuKernels*, 3> sets{};
  int count = 0;
};

const Available& FindAvailable() {
  static const Available available = [] {
    Available found;
    found.sets[static_cast<std::size_t>(found.count++)] = &internal::BaselineKernels();
#ifdef BITSWEEP_X86_KERNELS
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
      found.sets[static_cast<std::size_t>(found.count++)] = &internal::Avx2Kernels();
      if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw")) {
        found.sets[static_cast<std::size_t>(found.count++)] = &internal::Avx512Kernels();
      }
    }
#endif
    return found;
  }();
  return available;
}

}  // namespace

const CpuKernels* const* AvailableCpuKernels(int* count) {
  *count = FindAvailable().count;
  return FindAvailable().sets.data();
}

const CpuKernels& ChooseCpuKernels() {
  const Available& available = FindAvailable();
  // Read before any thread is started.
  const char* wanted = std::getenv("BITSWEEP_CPU_KERNELS");  // NOLINT(concurrency-mt-unsafe)
  for (int i = 0; wanted != nullptr && i < available.count; ++i) {
    const CpuKernels* set = available.sets[static_cast<std::size_t>(i)];
    if (std::string_view(wanted) == set->name) {
      return *set;
    }
  }
  return *available.sets[static_cast<std::size_t>(available.count - 1)];
}

std::int64_t PackedSize(std::int64_t n, std::int64_t k, std::int64_t panel) {
  return (n + panel - 1) / panel * panel * k;
}

void PackWeights(
    const float* w, std::int64_t n, std::int64_t k, std::int64_t panel, float* packed) {
  for (std::int64_t begin = 0; begin < n; begin += panel) {
    const std::int64_t columns = std::min(panel, n - begin);
    for (std::int64_t p = 0; p < k; ++p) {
      float* row = packed + begin * k + p * panel;
      for (std::int64_t c = 0; c < columns; ++c) {
        row[c] = w[(begin + c) * k + p];
      }
      std::fill(row + columns, row + panel, 0.0F);
    }
  }
}

}  // namespace bitsweep::engine
