#include "worker/engine/model/generation_kernels.h"

#include <c10/core/DeviceGuard.h>


namespace bitsweep::engine {
namespace {

// A reference has no stream.
template <auto kOp>
struct OnHost;
template <typename Args, kernels::KernelStatus (*kOp)(const Args&)>
struct OnHost<kOp> {
  static kernels::KernelStatus Run(const Args& args, kernels::DeviceStream) { return kOp(args); }
};

constexpr GenerationKernels kReference = {"reference",
                                          OnHost<kernels::GatherRowsRef>::Run,
                                          OnHost<kernels::AddRmsNormRef>::Run,
                                          OnHost<kernels::RopeCacheRef>::Run,
                                          OnHost<kernels::SwigluRef>::Run,
                                          OnHost<kernels::CachedAttentionRef>::Run,
                                          OnHost<kernels::JoinPartsRef>::Run,
                                          OnHost<kernels::SampleTokensRef>::Run,
                                          OnHost<kernels::CodebookMatvecRef>::Run,
                                          OnHost<kernels::CodebookExpandRef>::Run};

#if defined(BITSWEEP_CUDA)
constexpr GenerationKernels kCuda = {"cuda sm_90a",
                                     kernels::GatherRowsCuda,
                                     kernels::AddRmsNormCuda,
                                     kernels::RopeCacheCuda,
                                     kernels::SwigluCuda,
                                     kernels::CachedAttentionCuda,
                                     kernels::JoinPartsCuda,
                                     kernels::SampleTokensCuda,
                                     kernels::CodebookMatvecCuda,
                                     kernels::CodebookExpandCuda};
#endif

}  // namespace

const GenerationKernels* ChooseGenerationKernels(at::Device device) {
  if (device.is_cpu()) {
    return &kReference;
  }
#if defined(BITSWEEP_CUDA)
  const c10::DeviceGuard guard(device);
  return device.is_cuda() && kernels::DeviceSupported() ? &kCuda : nullptr;
#else
  return nullptr;
#endif
}

}  // namespace bitsweep::engine
