#include "worker/kernels/simd.h"

#include <array>
#include <cstdlib>
#include <cstring>

namespace bitsweep::kernels {
namespace {

// Register budgets: 32 zmm hold 8 x 2 accumulators, 16 ymm hold 6 x 2; an arg-min row needs 8
// broadcasts and 3 more.
#if defined(__x86_64__)
namespace avx512 {
#define BITSWEEP_ISA __attribute__((target("avx512f,avx2,fma")))
constexpr int kLanes = 16;
constexpr int kTileRows = 8;
constexpr int kArgminRows = 2;
#include "worker/kernels/simd_loops.inc"
#undef BITSWEEP_ISA
constexpr SimdLoops kLoops{"avx512", &Argmin, &Scores, &Metric, &Dot, &Strip};
}  // namespace avx512

namespace avx2 {
#define BITSWEEP_ISA __attribute__((target("avx2,fma")))
constexpr int kLanes = 8;
constexpr int kTileRows = 6;
constexpr int kArgminRows = 1;
#include "worker/kernels/simd_loops.inc"
#undef BITSWEEP_ISA
constexpr SimdLoops kLoops{"avx2", &Argmin, &Scores, &Metric, &Dot, &Strip};
}  // namespace avx2
#endif

namespace baseline {
#define BITSWEEP_ISA
constexpr int kLanes = 4;
constexpr int kTileRows = 4;
constexpr int kArgminRows = 1;
#include "worker/kernels/simd_loops.inc"
#undef BITSWEEP_ISA
constexpr SimdLoops kLoops{"baseline", &Argmin, &Scores, &Metric, &Dot, &Strip};
}  // namespace baseline

std::array<const SimdLoops*, 4> Detect() {
  std::array<const SimdLoops*, 4> found{&baseline::kLoops, nullptr, nullptr, nullptr};
#if defined(__x86_64__)
  std::size_t count = 1;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    found[count++] = &avx2::kLoops;
    if (__builtin_cpu_supports("avx512f")) {
      found[count++] = &avx512::kLoops;
    }
  }
#endif
  return found;
}

}  // namespace

const SimdLoops* const* AvailableSimd() {
  static const std::array<const SimdLoops*, 4> kFound = Detect();
  return kFound.data();
}

const SimdLoops& ActiveSimd() {
  static const SimdLoops* const kChosen = [] {
    const char* wanted = std::getenv("BITSWEEP_SIMD");
    const SimdLoops* chosen = nullptr;
    for (const SimdLoops* const* loops = AvailableSimd(); *loops != nullptr; ++loops) {
      chosen = *loops;
      if (wanted != nullptr && std::strcmp(wanted, chosen->name) == 0) {
        break;
      }
    }
    return chosen;
  }();
  return *kChosen;
}

}  // namespace bitsweep::kernels
