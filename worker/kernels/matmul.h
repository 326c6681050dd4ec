// c (+)= a b with b packed once: the products dW H and the panel updates of dW H (arXiv 2401.06118,
// section 3.2, keeps <dW H, dW>; the blocking of a search's updates into panels is GPTQ's, arXiv
// 2210.17323). H stays the same for hundreds of products of one linear, so packing is paid once.
// Thread rule: a PackedMatrix is immutable after Pack; products on distinct outputs may run at the
// same time.
#pragma once

#include <cstdint>
#include <vector>

#include "worker/kernels/status.h"

namespace bitsweep::kernels {

/// b [depth, columns] in strips of kStripColumns columns: strip s is [depth, kStripColumns], the
/// last one padded with zeros.
class PackedMatrix {
 public:
  /// Row k of the matrix is at b + rows[k] * ldb (rows == nullptr: at b + k * ldb).
  void Pack(const float* b,
            std::int64_t depth,
            std::int64_t columns,
            std::int64_t ldb,
            const std::int32_t* rows = nullptr);
  std::int64_t depth() const { return depth_; }
  std::int64_t columns() const { return columns_; }
  const float* Strip(std::int64_t index) const;

 private:
  std::int64_t depth_ = 0;
  std::int64_t columns_ = 0;
  std::vector<float> values_;
};

struct MatmulArgs {
  std::int64_t rows = 0;
  const float* a = nullptr;  // [rows, b->depth()], row stride lda
  std::int64_t lda = 0;
  const PackedMatrix* b = nullptr;  // [depth, columns]
  float* c = nullptr;               // [rows, columns], row stride ldc; disjoint from a
  std::int64_t ldc = 0;
  bool accumulate = false;  // c += instead of c =
  int threads = 1;
};

/// Tolerance against MatmulRef: |difference| <= 2e-6 * sum_k |a_k b_k| (both sum in f32, in the
/// same order but for fusing). The same bits for any number of threads.
KernelStatus Matmul(const MatmulArgs& args);
KernelStatus MatmulRef(const MatmulArgs& args);

}  // namespace bitsweep::kernels
