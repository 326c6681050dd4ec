#include "worker/engine/model/paged_step.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include "worker/engine/check_kernel.h"
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
                           const GenerationKernels* generation_kernels,
                           const std::vector<std::int64_t>& first_layers)
    : llama(std::move(model)),
      kernels(generation_kernels),
      element(llama->embed_tokens.scalar_type() == at::kHalf ? kernels::Element::kF16
                                                             : kernels::Element::kBf16) {
  for (std::size_t layer = 0; layer < llama->blocks.size(); ++layer) {
    const BlockWeights& block = llama->blocks[layer];
    const BlockCodes coded = llama->coded.empty() ? BlockCodes{} : llama->coded.at(layer);
    const auto product = [](const CodedProduct& codes, const std::vector<at::Tensor>& weights) {
      return Product{codes.defined() ? at::Tensor() : FusedRows(weights), codes};
    };
    products.push_back({product(coded.qkv, {block.q_proj, block.k_proj, block.v_proj}),
                        product(coded.o, {block.o_proj}),
                        product(coded.gate_up, {block.gate_proj, block.up_proj}),
                        product(coded.down, {block.down_proj})});
  }
  for (std::size_t i = 0; i < first_layers.size(); ++i) {
    const bool is_last = i + 1 == first_layers.size();
    const at::Device device =
        llama->blocks.at(static_cast<std::size_t>(first_layers[i])).input_layernorm.device();
    stretches.push_back({first_layers[i],
                         is_last ? llama->config.num_layers : first_layers[i + 1],
                         device,
                         {llama->rope.cos.to(device), llama->rope.sin.to(device)}});
  }
}

std::int64_t PagedWeights::PageBytes() const {
  return kernels::PageElements(config().num_kv_heads, config().head_dim) * 2;
}

PagedStep::PagedStep(std::shared_ptr<const PagedWeights> weights,
                     const PagedSizes& sizes,
                     const DrawOptions& draw)
    : weights_(std::move(weights)),
      sizes_(sizes),
      draw_(draw),
      prompt_tokens_(std::max({std::min(kPromptTokens, sizes.positions * sizes.prompts),
                               sizes.positions,
                               Padded(sizes.rows)})),
      parts_max_(PlannedPartsMax(sizes.positions)) {
  if (sizes.positions > weights_->llama->rope.cos.size(0)) {
    throw EngineError(FailureClass::kBug,
                      "a decoder of " + std::to_string(sizes.positions) +
                          " positions; the model has " +
                          std::to_string(weights_->llama->rope.cos.size(0)));
  }
  const c10::NoGradGuard no_grad;
  try {
    for (const PagedWeights::Stretch& layers : weights_->stretches) {
      stretches_.push_back(std::make_unique<Stretch>(layers));
      TakeBuffers(last());
    }
  } catch (const c10::Error& error) {
    if (!IsOutOfMemory(error)) {
      throw;
    }
    throw TooSmall();
  }
  TakeCache();
}

PagedStep::~PagedStep() = default;

std::int64_t PagedStep::pages() const {
  return first().cache.size(1);
}

void PagedStep::TakeBuffers(Stretch& s) const {
  const DeviceWork::Scope scope(s.work);
  const ModelConfig& c = config();
  const at::TensorOptions options = weights_->llama->embed_tokens.options().device(s.layers.device);
  const at::TensorOptions ints = options.dtype(at::kInt);
  const at::TensorOptions floats = options.dtype(at::kFloat);
  const std::int64_t rows = Padded(sizes_.rows);
  s.residual = at::zeros({prompt_tokens_, c.hidden_size}, options);
  s.normed = at::zeros({prompt_tokens_, c.hidden_size}, options);
  s.delta = at::zeros({prompt_tokens_, c.hidden_size}, options);
  s.qkv = at::zeros({prompt_tokens_, (c.num_heads + 2 * c.num_kv_heads) * c.head_dim}, options);
  s.mixed = at::zeros({prompt_tokens_, c.num_heads * c.head_dim}, options);
  s.gate_up = at::zeros({prompt_tokens_, 2 * c.intermediate_size}, options);
  s.inner = at::zeros({prompt_tokens_, c.intermediate_size}, options);
  s.expanded = at::empty({ExpandedElements(s.layers)}, options);
  s.parts = at::empty({rows * parts_max_, c.num_heads, c.head_dim}, floats);
  s.part_scales = at::empty({rows * parts_max_, c.num_heads, 2}, floats);
  s.plan = at::zeros(
      {Plan(rows).items + rows * parts_max_ * (Plan::kItemWords + Plan::kItemRowWords)}, ints);
  s.next_work = at::zeros({s.layers.end - s.layers.begin}, ints);
  s.tokens = at::zeros({2 * rows}, ints);
  if (s.layers.end == c.num_layers) {
    s.logits = at::zeros({rows, c.vocab_size}, options);
    s.prompt_logits = at::zeros({sizes_.prompts, c.vocab_size}, options);
    s.first_plan = at::zeros({5 * rows}, ints);
  }
}

std::int64_t PagedStep::ExpandedElements(const PagedWeights::Stretch& layers) const {
  std::int64_t elements = 0;
  for (std::int64_t layer = layers.begin; layer < layers.end; ++layer) {
    const PagedWeights::Block& block = weights_->products[static_cast<std::size_t>(layer)];
    for (const auto* product : {&block.qkv, &block.o, &block.gate_up, &block.down}) {
      elements = std::max(elements, product->coded.rows() * product->coded.columns());
    }
  }
  return elements;
}

EngineError PagedStep::TooSmall() const {
  std::string each;
  for (const PagedWeights::Stretch& layers : weights_->stretches) {
    each += (each.empty() ? "" : "; ") +
            std::to_string(sizes_.pages_min * (layers.end - layers.begin) * weights_->PageBytes() >>
                           20) +
            " MiB on " + layers.device.str() + ", which has " +
            std::to_string((DeviceWork::FreeBytes(layers.device) / sizes_.memory_divisor) >> 20) +
            " MiB left";
  }
  return EngineError(FailureClass::kOomGpu,
                     "sequences of " + std::to_string(sizes_.positions) +
                         " tokens need at least this much key/value cache, beside buffers and " +
                         std::to_string(kReserveBytes >> 20) + " MiB for libraries: " + each +
                         ": lower max_tokens_total, or use a GPU with more memory");
}

std::int64_t PagedStep::PagesThatFit() const {
  std::int64_t pages = sizes_.pages;
  for (const PagedWeights::Stretch& layers : weights_->stretches) {
    const std::int64_t left =
        DeviceWork::FreeBytes(layers.device) / sizes_.memory_divisor - kReserveBytes;
    pages = std::min(
        pages,
        std::max<std::int64_t>(0, left) / ((layers.end - layers.begin) * weights_->PageBytes()));
  }
  return pages;
}

void PagedStep::TakeCache() {
  std::int64_t pages = PagesThatFit();
  while (true) {
    if (pages < sizes_.pages_min) {
      throw TooSmall();
    }
    try {
      for (const std::unique_ptr<Stretch>& s : stretches_) {
        const DeviceWork::Scope scope(s->work);
        s->cache = at::zeros({s->layers.end - s->layers.begin, pages, weights_->PageBytes() / 2},
                             s->residual.options());
      }
      return;
    } catch (const c10::Error& error) {
      // What is free may be in pieces, or another process took it meanwhile.
      if (!IsOutOfMemory(error)) {
        throw;
      }
      for (const std::unique_ptr<Stretch>& s : stretches_) {
        s->cache = at::Tensor();
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

void PagedStep::UploadRows(const StepRows& rows, std::int64_t padded) {
  const Plan at(Padded(sizes_.rows));
  const AttentionPlan& attention = rows.attention;
  const auto items = static_cast<std::int64_t>(attention.items.size());
  const auto item_rows = static_cast<std::int64_t>(attention.item_rows.size());
  const std::int64_t words =
      at.items + items * Plan::kItemWords + item_rows * Plan::kItemRowWords;
  at::Tensor host = last().work.HostInts(words);
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
  for (const std::unique_ptr<Stretch>& s : stretches_) {
    const DeviceWork::Scope scope(s->work);
    s->plan.narrow(0, 0, words).copy_(host, /*non_blocking=*/true);
  }
}

at::Tensor PagedStep::SavePages(const std::vector<std::int32_t>& pages) {
  at::Tensor saved = last().work.Host(
      {static_cast<std::int64_t>(pages.size()), config().num_layers, weights_->PageBytes() / 2},
      last().cache.scalar_type());
  for (const std::unique_ptr<Stretch>& s : stretches_) {
    const DeviceWork::Scope scope(s->work);
    const at::Tensor layers = saved.narrow(1, s->layers.begin, s->cache.size(0));
    for (std::size_t i = 0; i < pages.size(); ++i) {
      layers.select(0, static_cast<std::int64_t>(i))
          .copy_(s->cache.select(1, pages[i]), /*non_blocking=*/true);
    }
  }
  return saved;
}

void PagedStep::RestorePages(const at::Tensor& saved, const std::vector<std::int32_t>& pages) {
  for (const std::unique_ptr<Stretch>& s : stretches_) {
    const DeviceWork::Scope scope(s->work);
    const at::Tensor layers = saved.narrow(1, s->layers.begin, s->cache.size(0));
    for (std::size_t i = 0; i < pages.size(); ++i) {
      s->cache.select(1, pages[i])
          .copy_(layers.select(0, static_cast<std::int64_t>(i)), /*non_blocking=*/true);
    }
  }
}

void PagedStep::Draw(std::int64_t rows,
                     const at::Tensor& logits,
                     const std::int32_t* logits_rows,
                     const std::int32_t* keys,
                     std::int32_t* tokens) {
  CheckKernel(
      weights_->kernels->sample_tokens({.element = weights_->element,
                                        .rows = rows,
                                        .vocab = config().vocab_size,
                                        .logits = logits.data_ptr(),
                                        .logit_rows = logits_rows,
                                        .keys = reinterpret_cast<const kernels::DrawKey*>(keys),
                                        .seed = draw_.seed,
                                        .temperature = draw_.temperature,
                                        .top_p = draw_.top_p,
                                        .tokens = tokens},
                                       last().work.stream()),
      "sample_tokens");
}

void PagedStep::DrawFirst(const StepRows& rows) {
  const auto count = static_cast<std::int64_t>(rows.first_keys.size());
  if (count == 0) {
    return;
  }
  at::Tensor host = last().work.HostInts(5 * count);
  auto* out = host.data_ptr<std::int32_t>();
  std::memcpy(out, rows.first_keys.data(), rows.first_keys.size() * sizeof(kernels::DrawKey));
  std::copy(rows.first_logits_rows.begin(), rows.first_logits_rows.end(), out + 4 * count);
  last().first_plan.narrow(0, 0, 5 * count).copy_(host, /*non_blocking=*/true);
  Draw(count,
       last().prompt_logits,
       Ints(last().first_plan) + 4 * count,
       Ints(last().first_plan),
       last().tokens.data_ptr<std::int32_t>() + sizes_.rows);
}

void PagedStep::MakeTokens(const StepRows& rows) {
  const DeviceWork::Scope scope(last().work);
  DrawFirst(rows);
  const auto firsts = static_cast<std::int64_t>(rows.first_keys.size());
  const auto count = static_cast<std::int64_t>(rows.given.size());
  if (count > 0) {
    at::Tensor host = last().work.HostInts(count);
    std::copy(rows.given.begin(), rows.given.end(), host.data_ptr<std::int32_t>());
    last().tokens.narrow(0, sizes_.rows + firsts, count).copy_(host, /*non_blocking=*/true);
  }
}

PagedStep::Download PagedStep::DrawAndDownload(const StepRows& rows) {
  const DeviceWork::Scope scope(last().work);
  const auto count = static_cast<std::int64_t>(rows.sources.size());
  const auto firsts = static_cast<std::int64_t>(rows.first_keys.size());
  Draw(count,
       last().logits,
       nullptr,
       last().PlanAt(Plan(Padded(sizes_.rows)).keys),
       last().tokens.data_ptr<std::int32_t>());
  Download download = {last().work.HostInts(count + firsts), nullptr};
  download.host.narrow(0, 0, count).copy_(last().tokens.narrow(0, 0, count), /*non_blocking=*/true);
  if (firsts > 0) {
    download.host.narrow(0, count, firsts)
        .copy_(last().tokens.narrow(0, sizes_.rows, firsts), /*non_blocking=*/true);
  }
  download.mark = last().work.MakeMark();
  return download;
}

at::Tensor PagedStep::Logits(std::int64_t count) {
  at::Tensor logits;
  {
    const DeviceWork::Scope scope(last().work);
    logits = last().logits.narrow(0, 0, count).to(at::kFloat);
    last().work.MakeMark()->Await();  // The caller's stream is another one.
  }
  return logits;
}

at::Tensor PagedStep::PromptLogits(std::int64_t logits_row) {
  at::Tensor logits;
  {
    const DeviceWork::Scope scope(last().work);
    logits = last().prompt_logits.narrow(0, logits_row, 1).to(at::kFloat);
    last().work.MakeMark()->Await();
  }
  return logits;
}

}  // namespace bitsweep::engine
