// A small random Llama checkpoint with grouped-query attention and odd sizes, and its forward pass
// in plain loops, written apart from the engine's: what the engine's tensor code and kernels are
// compared with.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "worker/engine/checkpoint/checkpoint.h"

namespace bitsweep::engine {

struct TinyShape {
  std::int64_t hidden = 24;  // Not heads * head_dim: o_proj is not square.
  std::int64_t intermediate = 37;
  std::int64_t layers = 3;
  std::int64_t heads = 6;
  std::int64_t kv_heads = 2;
  std::int64_t head_dim = 10;
  std::int64_t vocab = 53;
  std::int64_t positions = 96;
};

class TinyModel {
 public:
  explicit TinyModel(const TinyShape& shape, bool tied = false);
  ~TinyModel();
  TinyModel(const TinyModel&) = delete;
  TinyModel& operator=(const TinyModel&) = delete;

  const std::string& dir() const { return dir_; }
  std::shared_ptr<const Checkpoint> Open() const { return Checkpoint::Open(dir_); }
  /// Logits [T][V] in double, by loops over the checkpoint's own tensors.
  std::vector<std::vector<double>> ReferenceLogits(const std::vector<std::int64_t>& ids) const;

 private:
  TinyShape shape_;
  bool tied_;
  std::string dir_;
};

/// A checkpoint like `model`'s whose linears are random codes and codebooks, all but those that
/// `dense` names ("self_attn.q_proj" of every layer, say), which stay as they are. Written to `dir`,
/// which exists.
void WriteCodedModel(const TinyModel& model,
                     const AqlmConfig& aqlm,
                     const std::vector<std::string>& dense,
                     const std::string& dir);

/// `count` ids below `vocab`, the same for the same seed.
std::vector<std::int64_t> RandomIds(std::int64_t count, std::int64_t vocab, std::uint64_t seed);

}  // namespace bitsweep::engine
