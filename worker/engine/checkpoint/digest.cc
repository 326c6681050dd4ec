#include "worker/engine/checkpoint/digest.h"

#include <ATen/ATen.h>

#include "worker/engine/checkpoint/sha256.h"

namespace bitsweep::engine {

std::string DigestOf(const Checkpoint& checkpoint) {
  Sha256 sha;
  for (const auto& [name, file] : checkpoint.tensors()) {
    const at::Tensor tensor = file->Get(name);
    sha.Update(name.data(), name.size());
    sha.Update(tensor.data_ptr(), tensor.nbytes());
  }
  return sha.HexDigest();
}

}  // namespace bitsweep::engine
