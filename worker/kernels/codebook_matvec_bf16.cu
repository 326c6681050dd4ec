#include "worker/kernels/codebook_matvec.cuh"

namespace bitsweep::kernels::codebook {

Kernel ChooseBf16(const Launch& launch) {
  return Choose<__nv_bfloat16>(launch);
}

}  // namespace bitsweep::kernels::codebook
