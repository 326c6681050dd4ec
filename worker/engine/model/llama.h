// The Llama forward pass (RMSNorm, rotary embedding in the half-split form of transformers,
// grouped-query attention, SwiGLU) as free functions over plain weights, so that quantization runs
// one block at a time and generation runs them all. Works on any device; numerics are those of the
// weights' dtype with f32 norms and softmax. Thread rule: the functions keep no state; a loaded
// LlamaModel is immutable and may be read from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "worker/engine/checkpoint/checkpoint.h"
#include "worker/engine/model/coded_linear.h"

namespace bitsweep::engine {

/// Legend: B batch, T tokens of this call, S tokens in the cache, h hidden, H heads, Hkv key/value
/// heads, D head size, V vocabulary.

/// One transformer block. Weights are [out, in].
struct BlockWeights {
  at::Tensor input_layernorm;  // [h]
  at::Tensor q_proj, k_proj, v_proj, o_proj;
  at::Tensor post_attention_layernorm;  // [h]
  at::Tensor gate_proj, up_proj, down_proj;
  /// The linear called e.g. "self_attn.q_proj" (ModelConfig::LinearNames). Throws on another name.
  at::Tensor& Linear(const std::string& name);
};

/// cos and sin, [max_positions, D] f32 each, for positions 0..max_positions-1 (half-split: the two
/// halves are equal).
struct RopeTable {
  at::Tensor cos, sin;
};
RopeTable MakeRopeTable(const ModelConfig& config, std::int64_t max_positions, at::Device device);

/// Rotates x [..., D] by cos and sin f32 (broadcast against x): x * cos + (-x[D/2:], x[:D/2]) *
/// sin, in f32, returned in x's dtype.
at::Tensor ApplyRope(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin);

/// Causal attention of whole sequences: q [B, H, T, D], k and v [B, Hkv, T, D], H a multiple of Hkv
/// (query head i reads key/value head i / (H / Hkv)) -> [B, H, T, D] in q's dtype, scaled by
/// D^-1/2, softmax in f32. Differentiable. Memory beyond the result is bounded: queries go in
/// chunks (libtorch 1) or through torch's fused kernels (2 and later).
at::Tensor CausalAttention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v);

/// The same for sequences of different lengths laid end to end: q [T, H, D], k and v [T, Hkv, D],
/// sequence i in rows begins[i] to begins[i + 1] -> [T, H, D]. `on_device`: `begins` as i32 on q's
/// device.
at::Tensor PackedCausalAttention(const at::Tensor& q,
                                 const at::Tensor& k,
                                 const at::Tensor& v,
                                 const std::vector<std::int64_t>& begins,
                                 const at::Tensor& on_device);

/// What quantization taps: the inputs of the four distinct linears' groups, filled when asked for.
/// Each [B, T, in_features].
struct BlockTaps {
  at::Tensor attention_input;  // q, k, v
  at::Tensor o_input;
  at::Tensor mlp_input;  // gate, up
  at::Tensor down_input;
  bool only = false;  // Set by the caller: the block's own output is not wanted.
};

/// x [B, T, h] -> [B, T, h], causal attention over whole sequences without a cache (calibration,
/// logits). With `taps->only` the last linear is left out, and the result is undefined.
at::Tensor BlockForward(const ModelConfig& config,
                        const BlockWeights& weights,
                        const RopeTable& rope,
                        const at::Tensor& x,
                        BlockTaps* taps = nullptr);

/// Loads block `layer` of a checkpoint in `dtype` on `device`. Quantized linears are dequantized
/// and rounded to the dtype that their codebooks are stored in (f16), as the reference does. q, k,
/// v (and gate, up) are neighbours in one storage, so that FusedRows joins them without a copy.
/// With `coded`, products that can be kept as codes (CanKeepCodes) go there, and their weights are
/// undefined.
BlockWeights LoadBlock(const Checkpoint& checkpoint,
                       std::int64_t layer,
                       at::ScalarType dtype,
                       at::Device device,
                       BlockCodes* coded = nullptr);

/// Tensors [n_i, in] -> one [sum n_i, in]: a view where the parts are neighbours in one storage, a
/// copy elsewhere.
at::Tensor FusedRows(const std::vector<at::Tensor>& parts);

/// Throws kBadInput where `dtype` cannot be computed with on `device` by the libtorch at hand.
void CheckNumerics(at::ScalarType dtype, at::Device device);

/// The whole model, for logits and generation.
struct LlamaModel {
  ModelConfig config;
  at::Tensor embed_tokens;  // [V, h]
  std::vector<BlockWeights> blocks;
  at::Tensor norm;     // [h]
  at::Tensor lm_head;  // [V, h]
  RopeTable rope;
  /// Empty, or by block: products that are kept as codes, whose weights in `blocks` are undefined.
  /// Such a model serves the paged decoder alone.
  std::vector<BlockCodes> coded;

  /// Throws kBadInput where CheckNumerics does.
  static std::shared_ptr<const LlamaModel> Load(const Checkpoint& checkpoint,
                                                at::ScalarType dtype,
                                                at::Device device);
  /// With block i on block_devices[i], the embedding and the rotary table with the first block,
  /// norm and head with the last. Logits needs all on one device. `keep_codes`: fills `coded`.
  static std::shared_ptr<const LlamaModel> LoadSpread(const Checkpoint& checkpoint,
                                                      at::ScalarType dtype,
                                                      const std::vector<at::Device>& block_devices,
                                                      bool keep_codes = false);
  /// input_ids [B, T] i64 -> logits [B, T, V] f32, no cache. Throws kBadInput on ids outside [0, V)
  /// and on T above the model's positions. REQUIRES: `coded` is empty.
  at::Tensor Logits(const at::Tensor& input_ids) const;
};

/// A copy with block i on block_devices[i], and the rest as LoadSpread has it; q, k, v and gate, up
/// are still neighbours. What already lies there is not copied.
std::shared_ptr<const LlamaModel> CopyTo(const LlamaModel& model,
                                         const std::vector<at::Device>& block_devices);

/// RMSNorm over the last dimension, computed in f32, returned in x's dtype.
at::Tensor RmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps);

}  // namespace bitsweep::engine
