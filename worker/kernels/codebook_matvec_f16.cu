#include "worker/kernels/codebook_matvec.cuh"

namespace bitsweep::kernels::codebook {

Kernel ChooseF16(const Launch& launch) {
  return Choose<__half>(launch);
}

}  // namespace bitsweep::kernels::codebook
