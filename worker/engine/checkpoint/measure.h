// Sizes of a checkpoint, measured from its tensors and never from its label.
// Thread rule: pure functions, any thread.
#pragma once

#include <cstdint>

#include "worker/engine/checkpoint/checkpoint.h"

namespace bitsweep::engine {

/// "stored" counts what the files hold, "packed" a code with its codebook_bits, "unpacked" with the
/// int8 or int16 of the interchange form; a packed checkpoint is stored packed. For a plain model
/// the three are equal, and the effective bits are those of its linears' dtype.
struct CheckpointSize {
  std::int64_t parameters = 0;         // Of the dense model: a quantized linear counts out * in.
  std::int64_t linear_parameters = 0;  // Weights of the blocks' linears alone.
  std::int64_t stored_bytes = 0;       // Of all tensors, headers of the files not counted.
  std::int64_t packed_bytes = 0;
  std::int64_t unpacked_bytes = 0;
  double stored_effective_bits =
      0;  // (codes + codebooks + scales) or weights of the linears, in bits a weight.
  double packed_effective_bits = 0;
};

CheckpointSize MeasureCheckpoint(const Checkpoint& checkpoint);

}  // namespace bitsweep::engine
