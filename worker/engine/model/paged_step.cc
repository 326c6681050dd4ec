#include "worker/engine/model/paged_step.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include "worker/engine/error.h"
#include "worker/engine/model/paged_step_plan.h"

namespace bitsweep::engine {
namespace {

// Prompts are computed in calls of about this many tokens: enough that products of matrices are
// bound by arithmetic, few enough that the buffers stay small.
constexpr std::int64_t kPromptTokens = 4096;

// Left to libraries: attention over prompts, recorded graphs, cuBLAS.
constexpr std::int64_t kReserveBytes = std::int64_t{1} << 30;

// Sizes that steps are padded to; beyond, multiples of 256.
constexpr std::int64_t kPaddedMultiple = 256;
constexpr std::int64_t kPaddedRows[] = {1,   2,   4,   8,   16,  24,  32,  48,  64,  96,  128,
                                        160, 192, 256, 320, 384, 448, 512, 640, 768, 896, 1024};

bool IsOutOfMemory(const c10::Error& error) {
  return std::string(error.what()).find("out of memory") != std::string::npos;
}

}  // namespace

PagedWeights::PagedWeights(std::shared_ptr<const LlamaModel> model,
                           const GenerationKernels* generation_kernels)
    : llama(std::move(model)),
      kernels(generation_kernels),
      element(llama->embed_tokens.scalar_type() == at::kHalf ? kernels::Element::kF16
                                                             : kernels::Element::kBf16) {
  for (const BlockWeights& block : llama->blocks) {
    fused.push_back({FusedRows({block.q_proj, block.k_proj, block.v_proj}),
                     FusedRows({block.gate_proj, block.up_proj})});
  }
}

std::int64_t PagedWeights::PageBytes() const {
  return config().num_layers *
         kernels::PageElements(config().num_kv_heads, config().head_dim) * 2;
}

PagedStep::PagedStep(std::shared_ptr<const PagedWeights> weights,
                     const PagedSizes& sizes,
                     const DrawOptions& draw)
    : weights_(std::move(weights)),
      sizes_(sizes),
      draw_(draw),
      prompt_tokens_(std::max({std::min(kPromptTokens, sizes.positions * sizes.prompts),
                               sizes.positions, Padded(sizes.rows)})),
      parts_max_(PlannedPartsMax(sizes.positions)),
      work_(weights_->llama->embed_tokens.device()) {
  if (sizes.positions > weights_->llama->rope.cos.size(0)) {
    throw EngineError(FailureClass::kBug,
                      "a decoder of " + std::to_string(sizes.positions) +
                          " positions; the model has " +
                          std::to_string(weights_->llama->rope.cos.size(0)));
  }
  const c10::NoGradGuard no_grad;
  const DeviceWork::Scope scope(work_);
  try {
    TakeBuffers();
  } catch (const c10::Error& error) {
    if (!IsOutOfMemory(error)) {
      throw;
    }
    throw TooSmall(DeviceWork::FreeBytes(weights_->llama->embed_tokens.device()));
  }
  TakeCache();
}

PagedStep::~PagedStep() = default;

void PagedStep::TakeBuffers() {
  const ModelConfig& c = config();
  const at::TensorOptions options = weights_->llama->embed_tokens.options();
  const at::TensorOptions ints = options.dtype(at::kInt);
  const at::TensorOptions floats = options.dtype(at::kFloat);
  const std::int64_t rows = Padded(sizes_.rows);
  residual_ = at::zeros({prompt_tokens_, c.hidden_size}, options);
  normed_ = at::zeros({prompt_tokens_, c.hidden_size}, options);
  delta_ = at::zeros({prompt_tokens_, c.hidden_size}, options);
  qkv_ = at::zeros({prompt_tokens_, (c.num_heads + 2 * c.num_kv_heads) * c.head_dim}, options);
  mixed_ = at::zeros({prompt_tokens_, c.num_heads * c.head_dim}, options);
  gate_up_ = at::zeros({prompt_tokens_, 2 * c.intermediate_size}, options);
  inner_ = at::zeros({prompt_tokens_, c.intermediate_size}, options);
  logits_ = at::zeros({rows, c.vocab_size}, options);
  prompt_logits_ = at::zeros({sizes_.prompts, c.vocab_size}, options);
  parts_ = at::empty({rows * parts_max_, c.num_heads, c.head_dim}, floats);
  part_scales_ = at::empty({rows * parts_max_, c.num_heads, 2}, floats);
  tokens_ = at::zeros({2 * rows}, ints);
  plan_ = at::zeros(
      {Plan(rows).items + rows * parts_max_ * (Plan::kItemWords + Plan::kItemRowWords)}, ints);
  first_plan_ = at::zeros({5 * rows}, ints);
  next_work_ = at::zeros({c.num_layers}, ints);
}

EngineError PagedStep::TooSmall(std::int64_t free) const {
  return EngineError(
      FailureClass::kOomGpu,
      "sequences of " + std::to_string(sizes_.positions) + " tokens need at least " +
          std::to_string(sizes_.pages_min * weights_->PageBytes() >> 20) +
          " MiB of key/value cache beside buffers and " + std::to_string(kReserveBytes >> 20) +
          " MiB for libraries, and " + weights_->llama->embed_tokens.device().str() + " has " +
          std::to_string(free >> 20) +
          " MiB left: lower max_tokens_total, or use a GPU with more memory");
}

void PagedStep::TakeCache() {
  const at::TensorOptions options = weights_->llama->embed_tokens.options();
  const std::int64_t page_bytes = weights_->PageBytes();
  const std::int64_t free = DeviceWork::FreeBytes(options.device());
  std::int64_t pages =
      std::min(sizes_.pages, std::max<std::int64_t>(0, free - kReserveBytes) / page_bytes);
  while (true) {
    if (pages < sizes_.pages_min) {
      throw TooSmall(free);
    }
    try {
      cache_ = at::zeros({config().num_layers, pages, page_bytes / 2 / config().num_layers},
                         options);
      return;
    } catch (const c10::Error& error) {
      // What is free may be in pieces, or another process took it meanwhile.
      if (!IsOutOfMemory(error)) {
        throw;
      }
      pages = pages * 9 / 10;
    }
  }
}

std::int64_t PagedStep::Padded(std::int64_t rows) const {
  const auto* fitting = std::lower_bound(std::begin(kPaddedRows), std::end(kPaddedRows), rows);
  static_assert(kInvariantRows % kPaddedMultiple == 0);
  return sizes_.batch_invariant ? (rows + kInvariantRows - 1) / kInvariantRows * kInvariantRows
         : fitting != std::end(kPaddedRows)
             ? *fitting
             : (rows + kPaddedMultiple - 1) / kPaddedMultiple * kPaddedMultiple;
}

std::int32_t* PagedStep::PlanAt(std::int64_t word) const {
  return plan_.data_ptr<std::int32_t>() + word;
}

void PagedStep::UploadRows(const StepRows& rows, std::int64_t padded) {
  const Plan at(Padded(sizes_.rows));
  const AttentionPlan& attention = rows.attention;
  const auto items = static_cast<std::int64_t>(attention.items.size());
  const auto item_rows = static_cast<std::int64_t>(attention.item_rows.size());
  const std::int64_t words =
      at.items + items * Plan::kItemWords + item_rows * Plan::kItemRowWords;
  at::Tensor host = work_.HostInts(words);
  auto* out = host.data_ptr<std::int32_t>();
  out[at.item_count] = static_cast<std::int32_t>(items);
  const std::size_t count = rows.sources.size();
  // Rows that pad the step feed token 0 at position 0 into page 0, and attend to nothing.
  const auto fill = [&](std::int64_t begin, const std::vector<std::int32_t>& values) {
    std::copy(values.begin(), values.end(), out + begin);
    std::fill(out + begin + count, out + begin + padded, 0);
  };
  fill(at.sources, rows.sources);
  fill(at.positions, rows.positions);
  fill(at.locations, rows.locations);
  fill(at.first_part, attention.first_part);
  fill(at.part_count, attention.part_count);
  std::memcpy(out + at.keys, rows.keys.data(), count * sizeof(kernels::DrawKey));
  std::memcpy(out + at.items,
              attention.items.data(),
              attention.items.size() * sizeof(kernels::AttentionItem));
  std::memcpy(out + at.items + items * Plan::kItemWords,
              attention.item_rows.data(),
              attention.item_rows.size() * sizeof(kernels::AttentionItemRow));
  plan_.narrow(0, 0, words).copy_(host, /*non_blocking=*/true);
}

at::Tensor PagedStep::SavePages(const std::vector<std::int32_t>& pages) {
  const DeviceWork::Scope scope(work_);
  at::Tensor saved =
      work_.Host({static_cast<std::int64_t>(pages.size()), cache_.size(0), cache_.size(2)},
                 cache_.scalar_type());
  for (std::size_t i = 0; i < pages.size(); ++i) {
    saved.select(0, static_cast<std::int64_t>(i))
        .copy_(cache_.select(1, pages[i]), /*non_blocking=*/true);
  }
  return saved;
}

void PagedStep::RestorePages(const at::Tensor& saved, const std::vector<std::int32_t>& pages) {
  const DeviceWork::Scope scope(work_);
  for (std::size_t i = 0; i < pages.size(); ++i) {
    cache_.select(1, pages[i])
        .copy_(saved.select(0, static_cast<std::int64_t>(i)), /*non_blocking=*/true);
  }
}

void PagedStep::Draw(std::int64_t rows,
                     const at::Tensor& logits,
                     const std::int32_t* logits_rows,
                     const std::int32_t* keys,
                     std::int32_t* tokens) {
  CheckKernel(weights_->kernels->sample_tokens(
                  {.element = weights_->element,
                   .rows = rows,
                   .vocab = config().vocab_size,
                   .logits = logits.data_ptr(),
                   .logit_rows = logits_rows,
                   .keys = reinterpret_cast<const kernels::DrawKey*>(keys),
                   .seed = draw_.seed,
                   .temperature = draw_.temperature,
                   .top_p = draw_.top_p,
                   .tokens = tokens},
                  work_.stream()),
              "sample_tokens");
}

void PagedStep::DrawFirst(const StepRows& rows) {
  const auto count = static_cast<std::int64_t>(rows.first_keys.size());
  if (count == 0) {
    return;
  }
  at::Tensor host = work_.HostInts(5 * count);
  auto* out = host.data_ptr<std::int32_t>();
  std::memcpy(out, rows.first_keys.data(), rows.first_keys.size() * sizeof(kernels::DrawKey));
  std::copy(rows.first_logits_rows.begin(), rows.first_logits_rows.end(), out + 4 * count);
  first_plan_.narrow(0, 0, 5 * count).copy_(host, /*non_blocking=*/true);
  Draw(count,
       prompt_logits_,
       Ints(first_plan_) + 4 * count,
       Ints(first_plan_),
       tokens_.data_ptr<std::int32_t>() + sizes_.rows);
}

void PagedStep::MakeTokens(const StepRows& rows) {
  const DeviceWork::Scope scope(work_);
  DrawFirst(rows);
  const auto firsts = static_cast<std::int64_t>(rows.first_keys.size());
  const auto count = static_cast<std::int64_t>(rows.given.size());
  if (count > 0) {
    at::Tensor host = work_.HostInts(count);
    std::copy(rows.given.begin(), rows.given.end(), host.data_ptr<std::int32_t>());
    tokens_.narrow(0, sizes_.rows + firsts, count).copy_(host, /*non_blocking=*/true);
  }
}

PagedStep::Download PagedStep::DrawAndDownload(const StepRows& rows) {
  const DeviceWork::Scope scope(work_);
  const auto count = static_cast<std::int64_t>(rows.sources.size());
  const auto firsts = static_cast<std::int64_t>(rows.first_keys.size());
  Draw(count,
       logits_,
       nullptr,
       PlanAt(Plan(Padded(sizes_.rows)).keys),
       tokens_.data_ptr<std::int32_t>());
  Download download = {work_.HostInts(count + firsts), nullptr};
  download.host.narrow(0, 0, count).copy_(tokens_.narrow(0, 0, count), /*non_blocking=*/true);
  if (firsts > 0) {
    download.host.narrow(0, count, firsts)
        .copy_(tokens_.narrow(0, sizes_.rows, firsts), /*non_blocking=*/true);
  }
  download.mark = work_.MakeMark();
  return download;
}

at::Tensor PagedStep::Logits(std::int64_t count) {
  at::Tensor logits;
  {
    const DeviceWork::Scope scope(work_);
    logits = logits_.narrow(0, 0, count).to(at::kFloat);
    work_.MakeMark()->Await();  // The caller's stream is another one.
  }
  return logits;
}

at::Tensor PagedStep::PromptLogits(std::int64_t logits_row) {
  at::Tensor logits;
  {
    const DeviceWork::Scope scope(work_);
    logits = prompt_logits_.narrow(0, logits_row, 1).to(at::kFloat);
    work_.MakeMark()->Await();
  }
  return logits;
}

}  // namespace bitsweep::engine
