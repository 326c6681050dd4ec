// The torch values of a spec's `numerics`. Thread rule: any thread.
#pragma once

#include <ATen/core/Tensor.h>

#include "worker/engine/stage.h"

namespace bitsweep::engine {

/// Throws kBadInput on an unknown spelling, and on "cuda" where this libtorch has no CUDA or the
/// machine no device.
at::Device DeviceOf(const Numerics& numerics);
/// "f32" | "f16" | "bf16". Throws kBadInput on another spelling.
at::ScalarType DtypeOf(const Numerics& numerics);

/// Lets f32 products of this process run on a GPU's tf32 matrix instructions while it lives, if
/// `allows`. tf32 keeps 10 fraction bits: all that f16 and bf16 have, so weights that were stored in
/// those lose nothing and only what is multiplied with them is rounded. Thread rule: a setting of
/// the process; one thread makes it around the work of all.
class Tf32Products {
 public:
  explicit Tf32Products(bool allows);
  ~Tf32Products();
  Tf32Products(const Tf32Products&) = delete;
  Tf32Products& operator=(const Tf32Products&) = delete;

 private:
  const bool before_;
};

}  // namespace bitsweep::engine
