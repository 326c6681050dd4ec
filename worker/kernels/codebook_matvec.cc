// Which codebooks a block keeps (codebook_matvec.h): arithmetic without a device, so that whoever
// loads a model can cut its codebooks accordingly.
#include "worker/kernels/codebook_matvec.h"

namespace bitsweep::kernels {
namespace {

// Of a Hopper block's 227 KB; the rest is for inputs and sums.
constexpr std::int64_t kTableBytesMax = 128 << 10;
// Blocks of a cluster; more than 8 is what Hopper allows beyond the portable size.
constexpr std::int64_t kBlocksMax = 16;
// Lanes that read shared memory in one cycle read this many bytes; with so many copies of a slice,
// each has one of its own, and no two meet in a bank.
constexpr std::int64_t kBankBytes = 128;

}  // namespace

CodebookPlan PlanCodebookMatvec(const CodebookShape& n) {
  CodebookPlan plan;
  if (!n.Valid() || (n.g != 4 && n.g != 8 && n.g != 16)) {
    return plan;
  }
  const std::int64_t widest = n.g < 8 ? n.g : 8;  // 16 bytes are what a lane reads at once.
  for (std::int64_t slice = widest; slice >= 2; slice /= 2) {
    for (std::int64_t books = n.M; books >= 1; --books) {
      const std::int64_t bytes = books * n.K() * slice * 2;
      const std::int64_t blocks = n.g / slice * (n.M / books);
      if (n.M % books != 0 || bytes > kTableBytesMax || blocks > kBlocksMax) {
        continue;
      }
      plan = {slice, books, blocks, 1, true};
      while (plan.copies * 2 * slice * 2 <= kBankBytes &&
             bytes * plan.copies * 2 <= kTableBytesMax) {
        plan.copies *= 2;
      }
      return plan;
    }
  }
  // 1x16: nothing that a block can hold is worth its while.
  if (n.code_bytes() == 2) {
    plan = {widest, n.M, n.g / widest, 1, false};
  }
  return plan;
}

}  // namespace bitsweep::kernels
