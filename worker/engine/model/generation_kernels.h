// The ops of generation as one table, so that a decoder is written once: the device's versions on a
// GPU that has them, the references elsewhere (slow, for tests). Thread rule: constants.
#pragma once

#include <string>

#include <ATen/core/Tensor.h>

#include "worker/engine/check_kernel.h"
#include "worker/kernels/add_rms_norm.h"
#include "worker/kernels/cached_attention.h"
#include "worker/kernels/codebook_expand.h"
#include "worker/kernels/codebook_matvec.h"
#include "worker/kernels/gather_rows.h"
#include "worker/kernels/rope_cache.h"
#include "worker/kernels/sample_tokens.h"
#include "worker/kernels/swiglu.h"

namespace bitsweep::engine {

struct GenerationKernels {
  const char* name;  // "cuda sm_90a", "reference"
  kernels::KernelStatus (*gather_rows)(const kernels::GatherRowsArgs&, kernels::DeviceStream);
  kernels::KernelStatus (*add_rms_norm)(const kernels::AddRmsNormArgs&, kernels::DeviceStream);
  kernels::KernelStatus (*rope_cache)(const kernels::RopeCacheArgs&, kernels::DeviceStream);
  kernels::KernelStatus (*swiglu)(const kernels::SwigluArgs&, kernels::DeviceStream);
  kernels::KernelStatus (*cached_attention)(const kernels::CachedAttentionArgs&,
                                            kernels::DeviceStream);
  kernels::KernelStatus (*join_parts)(const kernels::JoinPartsArgs&, kernels::DeviceStream);
  kernels::KernelStatus (*sample_tokens)(const kernels::SampleTokensArgs&, kernels::DeviceStream);
  kernels::KernelStatus (*codebook_matvec)(const kernels::CodebookMatvecArgs&,
                                           kernels::DeviceStream);
  kernels::KernelStatus (*codebook_expand)(const kernels::CodebookExpandArgs&,
                                           kernels::DeviceStream);
};

/// The references on the CPU; on a GPU its own, or null where the build or the device has none.
const GenerationKernels* ChooseGenerationKernels(at::Device device);

}  // namespace bitsweep::engine
