// The computation of a paged decoder: buffers, cache and layers, without any notion of which
// sequence is which. The layers may be divided into stretches on several devices: a step then
// passes through them one after the other, and several decoders of one model keep all of them at
// work. Thread rule: one thread; everything is queued on the stretches' own streams, in the order
// of the calls.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include "worker/engine/error.h"
#include "worker/engine/model/attention_plan.h"
#include "worker/engine/model/coded_linear.h"
#include "worker/engine/model/decoder.h"
#include "worker/engine/model/device_work.h"
#include "worker/engine/model/generation_kernels.h"
#include "worker/engine/model/llama.h"

namespace bitsweep::engine {

/// Weights as a step multiplies by them. Immutable.
struct PagedWeights {
  /// Weights of linears that share an input: dense (a view of the block's own storage), or codes.
  struct Product {
    at::Tensor dense;
    CodedProduct coded;
  };
  struct Block {
    Product qkv, o, gate_up, down;
  };
  /// Layers begin to end - 1, on one device.
  struct Stretch {
    std::int64_t begin, end;
    at::Device device;
    RopeTable rope;
  };

  /// `first_layers`: where stretches begin, ascending from 0; the blocks of each are on one device,
  /// the embedding on that of the first, the last norm and the head on that of the last.
  PagedWeights(std::shared_ptr<const LlamaModel> llama,
               const GenerationKernels* kernels,
               const std::vector<std::int64_t>& first_layers);
  const ModelConfig& config() const { return llama->config; }
  /// Of one layer.
  std::int64_t PageBytes() const;

  const std::shared_ptr<const LlamaModel> llama;
  const GenerationKernels* const kernels;
  const kernels::Element element;
  std::vector<Block> products;  // By layer.
  std::vector<Stretch> stretches;
};

struct PagedSizes {
  std::int64_t rows;       // Sequences of a step, at most.
  std::int64_t positions;  // Of a sequence.
  std::int64_t prompts;    // Rows of prompts' logits.
  std::int64_t pages;      // Wanted; fewer where memory ends,
  std::int64_t pages_min;  // but not fewer than this.
  bool batch_invariant;    // DecoderOptions
  std::int64_t memory_divisor = 1;  // DecoderOptions
};

/// One step, row by row.
struct StepRows {
  std::vector<std::int32_t> sources;    // Of the token to feed: < rows: what that row of the last
                                        // step drew; else number source - rows of the first tokens
                                        // and, after these, the given ones.
  std::vector<std::int32_t> positions;
  std::vector<std::int32_t> locations;  // Page * kPageTokens + place in it.
  std::vector<kernels::DrawKey> keys;   // Of the token to draw.
  AttentionPlan attention;
  std::vector<std::int32_t> first_logits_rows;  // Of each first token to draw: its prompt's row,
  std::vector<kernels::DrawKey> first_keys;     // and its key.
  std::vector<std::int32_t> given;              // Tokens that the host knows.
};

struct PromptRows {
  const std::vector<std::int64_t>* ids;
  const std::vector<std::int32_t>* pages;
  std::int64_t logits_row;
};

class PagedStep {
 public:
  /// Takes its memory at once. Throws kOomGpu, with advice, where pages_min do not fit.
  PagedStep(std::shared_ptr<const PagedWeights> weights,
            const PagedSizes& sizes,
            const DrawOptions& draw);
  ~PagedStep();

  std::int64_t pages() const;
  std::int64_t prompt_tokens() const { return prompt_tokens_; }
  std::int64_t group() const { return config().num_heads / config().num_kv_heads; }

  /// Keys and values of whole prompts into their pages, logits of their last tokens.
  void ComputePrompts(const std::vector<PromptRows>& prompts);
  /// Copies of pages in host memory, [pages, layers, elements of a page of a layer]; what is queued
  /// later may overwrite the pages.
  at::Tensor SavePages(const std::vector<std::int32_t>& pages);
  void RestorePages(const at::Tensor& saved, const std::vector<std::int32_t>& pages);

  /// Draws the first tokens of the step's new sequences, and uploads those that the host gives.
  void MakeTokens(const StepRows& rows);
  /// Feeds the rows' tokens: cache and logits.
  void Run(const StepRows& rows);
  struct Download {
    at::Tensor host;  // i32: the rows' tokens, then the first tokens. Valid after `mark`.
    std::unique_ptr<DeviceWork::Mark> mark;
  };
  /// Draws the rows' next tokens.
  Download DrawAndDownload(const StepRows& rows);

  /// Of the last Run: [count, V] f32, a copy.
  at::Tensor Logits(std::int64_t count);
  /// [1, V] f32, a copy.
  at::Tensor PromptLogits(std::int64_t logits_row);

 private:
  struct Plan;     // Where a step's numbers lie in a stretch's `plan`.
  struct Stretch;  // A stretch of layers with its buffers, its cache and its stream.
  const ModelConfig& config() const { return weights_->config(); }
  Stretch& first() const { return *stretches_.front(); }
  Stretch& last() const { return *stretches_.back(); }
  void TakeBuffers(Stretch& stretch) const;
  // Of the largest product that is kept as codes.
  std::int64_t ExpandedElements(const PagedWeights::Stretch& layers) const;
  void TakeCache();
  std::int64_t PagesThatFit() const;
  EngineError TooSmall() const;
  std::int64_t Padded(std::int64_t rows) const;
  void DrawFirst(const StepRows& rows);
  void UploadRows(const StepRows& rows, std::int64_t padded);
  void Draw(std::int64_t rows,
            const at::Tensor& logits,
            const std::int32_t* logits_rows,
            const std::int32_t* keys,
            std::int32_t* tokens);
  // A stretch's layers for `rows` rows of its buffers; the last stretch's `normed` then holds the
  // last norm's output. `attend` (layer) reads `qkv` and fills `mixed`. Products take
  // `product_rows` rows at once.
  template <typename Attend>
  void RunLayers(Stretch& stretch,
                 std::int64_t rows,
                 std::int64_t product_rows,
                 const std::int32_t* tokens,
                 const std::int32_t* sources,
                 const std::int32_t* positions,
                 const std::int32_t* locations,
                 const Attend& attend);
  // The first `rows` rows of out = x W^T, `at_once` of them a product.
  void Multiply(const Stretch& stretch,
                const at::Tensor& out,
                const at::Tensor& x,
                const PagedWeights::Product& weights,
                std::int64_t rows,
                std::int64_t at_once) const;
  // What the layers before have made of `rows` rows, from the stretch before.
  void Pass(std::size_t to, std::int64_t rows);
  // Drawn tokens lie where logits are; the embedding may lie elsewhere.
  void ReturnTokens();
  void AttendCache(const Stretch& stretch, std::int64_t layer, std::int64_t rows) const;
  at::Tensor PromptPlan(const std::vector<PromptRows>& prompts,
                        const std::vector<std::int64_t>& begins) const;
  void AttendPrompts(const Stretch& stretch,
                     const std::vector<std::int64_t>& begins,
                     const at::Tensor& on_device) const;
  void RunRows(Stretch& stretch, std::int64_t padded);
  void RunOrRepeat(Stretch& stretch, std::int64_t padded);

  const std::shared_ptr<const PagedWeights> weights_;
  const PagedSizes sizes_;
  const DrawOptions draw_;
  const std::int64_t prompt_tokens_;
  const std::int64_t parts_max_;
  std::vector<std::unique_ptr<Stretch>> stretches_;
};

}  // namespace bitsweep::engine
