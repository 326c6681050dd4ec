// What a paged decoder computes (paged_step.h): the layers, for a step's rows and for prompts.
#include <algorithm>
#include <cstdlib>
#include <string>
#include <utility>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "worker/engine/check_kernel.h"
#include "worker/engine/error.h"
#include "worker/engine/model/paged_step.h"
#include "worker/engine/model/paged_step_plan.h"

namespace bitsweep::engine {
namespace {

bool RecordsGraphs() {
  const char* value = std::getenv("BITSWEEP_DECODE_GRAPHS");  // 0: for profilers and debuggers.
  return value == nullptr || std::string(value) != "0";
}

// The first `rows` rows of out = x weight^T, `at_once` of them a product.
void MultiplyDense(const at::Tensor& out,
              const at::Tensor& x,
              const at::Tensor& weight,
              std::int64_t rows,
              std::int64_t at_once) {
  for (std::int64_t begin = 0; begin < rows; begin += at_once) {
    at::Tensor target = out.narrow(0, begin, at_once);
    at::mm_out(target, x.narrow(0, begin, at_once), weight.t());
  }
}

}  // namespace

// A product of many rows wants the library, and so does one that is not to depend on their number:
// their weights are expanded into one buffer, which every product of the stretch overwrites.
void PagedStep::Multiply(const Stretch& s,
                         const at::Tensor& out,
                         const at::Tensor& x,
                         const PagedWeights::Product& weights,
                         std::int64_t rows,
                         std::int64_t at_once) const {
  const CodedProduct& coded = weights.coded;
  if (!coded.defined()) {
    MultiplyDense(out, x, weights.dense, rows, at_once);
    return;
  }
  if (rows <= kLookUpRowsMax && !sizes_.batch_invariant && coded.has_matvec()) {
    kernels::CodebookMatvecArgs args = coded.MatvecArgs(weights_->element);
    args.rows = rows;
    args.x = x.data_ptr();
    args.out = out.data_ptr();
    CheckKernel(weights_->kernels->codebook_matvec(args, s.work.stream()), "codebook_matvec");
    return;
  }
  const at::Tensor weight = s.expanded.narrow(0, 0, coded.rows() * coded.columns())
                                .view({coded.rows(), coded.columns()});
  kernels::CodebookExpandArgs args = coded.ExpandArgs(weights_->element);
  args.out = weight.data_ptr();
  CheckKernel(weights_->kernels->codebook_expand(args, s.work.stream()), "codebook_expand");
  MultiplyDense(out, x, weight, rows, at_once);
}

template <typename Attend>
void PagedStep::RunLayers(Stretch& s,
                          std::int64_t rows,
                          std::int64_t product_rows,
                          const std::int32_t* tokens,
                          const std::int32_t* sources,
                          const std::int32_t* positions,
                          const std::int32_t* locations,
                          const Attend& attend) {
  const ModelConfig& c = config();
  const LlamaModel& llama = *weights_->llama;
  const GenerationKernels& ops = *weights_->kernels;
  const auto multiply = [&](const at::Tensor& out, const at::Tensor& x, const auto& weights) {
    Multiply(s, out, x, weights, rows, product_rows);
  };
  const auto norm = [&](const at::Tensor& weight, bool add) {
    CheckKernel(ops.add_rms_norm({.element = weights_->element,
                                  .rows = rows,
                                  .width = c.hidden_size,
                                  .delta = add ? s.delta.data_ptr() : nullptr,
                                  .residual = s.residual.data_ptr(),
                                  .weight = weight.data_ptr(),
                                  .out = s.normed.data_ptr(),
                                  .eps = static_cast<float>(c.rms_norm_eps)},
                                 s.work.stream()),
                "add_rms_norm");
  };
  if (s.layers.begin == 0) {
    CheckKernel(ops.gather_rows({.rows = rows,
                                 .width = c.hidden_size,
                                 .table_rows = c.vocab_size,
                                 .table = llama.embed_tokens.data_ptr(),
                                 .tokens = tokens,
                                 .sources = sources,
                                 .out = s.residual.data_ptr()},
                                s.work.stream()),
                "gather_rows");
  }
  for (std::int64_t layer = s.layers.begin; layer < s.layers.end; ++layer) {
    const BlockWeights& block = llama.blocks[static_cast<std::size_t>(layer)];
    const PagedWeights::Block& products = weights_->products[static_cast<std::size_t>(layer)];
    norm(block.input_layernorm, layer > 0);
    multiply(s.qkv, s.normed, products.qkv);
    CheckKernel(ops.rope_cache({.element = weights_->element,
                                .rows = rows,
                                .heads = c.num_heads,
                                .kv_heads = c.num_kv_heads,
                                .head_dim = c.head_dim,
                                .positions = positions,
                                .locations = locations,
                                .cos = s.layers.rope.cos.data_ptr<float>(),
                                .sin = s.layers.rope.sin.data_ptr<float>(),
                                .qkv = s.qkv.data_ptr(),
                                .cache = s.Cache(layer)},
                               s.work.stream()),
                "rope_cache");
    attend(layer);
    multiply(s.delta, s.mixed, products.o);
    norm(block.post_attention_layernorm, true);
    multiply(s.gate_up, s.normed, products.gate_up);
    CheckKernel(ops.swiglu({.element = weights_->element,
                            .rows = rows,
                            .width = c.intermediate_size,
                            .gate_up = s.gate_up.data_ptr(),
                            .out = s.inner.data_ptr()},
                           s.work.stream()),
                "swiglu");
    multiply(s.delta, s.inner, products.down);
  }
  if (s.layers.end == c.num_layers) {
    norm(llama.norm, true);
  }
}

// Copies between devices are ordered by both streams; on one device, where tests divide layers too,
// the waits are what orders them.
void PagedStep::Pass(std::size_t to, std::int64_t rows) {
  Stretch& from_stretch = *stretches_[to - 1];
  Stretch& to_stretch = *stretches_[to];
  const DeviceWork::Scope from_scope(from_stretch.work);
  const DeviceWork::Scope to_scope(to_stretch.work);
  to_stretch.work.WaitFor(from_stretch.work);
  // The last layer's sum is not yet in `residual`: the next norm adds it, wherever that is.
  to_stretch.residual.narrow(0, 0, rows)
      .copy_(from_stretch.residual.narrow(0, 0, rows), /*non_blocking=*/true);
  to_stretch.delta.narrow(0, 0, rows)
      .copy_(from_stretch.delta.narrow(0, 0, rows), /*non_blocking=*/true);
  from_stretch.work.WaitFor(to_stretch.work);
}

void PagedStep::ReturnTokens() {
  if (stretches_.size() == 1) {
    return;
  }
  const DeviceWork::Scope last_scope(last().work);
  const DeviceWork::Scope first_scope(first().work);
  first().work.WaitFor(last().work);
  first().tokens.copy_(last().tokens, /*non_blocking=*/true);
  last().work.WaitFor(first().work);
}

void PagedStep::AttendCache(const Stretch& s, std::int64_t layer, std::int64_t rows) const {
  const ModelConfig& c = config();
  const Plan at(Padded(sizes_.rows));
  CheckKernel(weights_->kernels->cached_attention(
                  {.element = weights_->element,
                   .heads = c.num_heads,
                   .kv_heads = c.num_kv_heads,
                   .head_dim = c.head_dim,
                   .items = reinterpret_cast<const kernels::AttentionItem*>(s.PlanAt(at.items)),
                   .item_count = s.PlanAt(at.item_count),
                   .q = s.qkv.data_ptr(),
                   .q_stride = s.qkv.size(1),
                   .cache = s.Cache(layer),
                   .parts = s.parts.data_ptr<float>(),
                   .scales = s.part_scales.data_ptr<float>(),
                   .out = s.mixed.data_ptr(),
                   .next_work = s.next_work.data_ptr<std::int32_t>() + (layer - s.layers.begin)},
                  s.work.stream()),
              "cached_attention");
  CheckKernel(weights_->kernels->join_parts({.element = weights_->element,
                                             .rows = rows,
                                             .heads = c.num_heads,
                                             .head_dim = c.head_dim,
                                             .first_part = s.PlanAt(at.first_part),
                                             .part_count = s.PlanAt(at.part_count),
                                             .parts = s.parts.data_ptr<float>(),
                                             .scales = s.part_scales.data_ptr<float>(),
                                             .out = s.mixed.data_ptr()},
                                            s.work.stream()),
              "join_parts");
}

// What is recorded: everything whose addresses and sizes depend on the padded rows alone.
void PagedStep::RunRows(Stretch& s, std::int64_t padded) {
  const Plan at(Padded(sizes_.rows));
  const std::int64_t product_rows = sizes_.batch_invariant ? kInvariantRows : padded;
  s.next_work.zero_();
  RunLayers(s,
            padded,
            product_rows,
            Ints(s.tokens),
            s.PlanAt(at.sources),
            s.PlanAt(at.positions),
            s.PlanAt(at.locations),
            [&](std::int64_t layer) { AttendCache(s, layer, padded); });
  if (s.logits.defined()) {
    MultiplyDense(s.logits, s.normed, weights_->llama->lm_head, padded, product_rows);
  }
}

void PagedStep::RunOrRepeat(Stretch& s, std::int64_t padded) {
  const DeviceWork::Scope scope(s.work);
  if (!s.ran[padded] || !RecordsGraphs()) {
    RunRows(s, padded);
    s.ran[padded] = true;
    return;
  }
  std::unique_ptr<DeviceWork::Recording>& recording = s.recordings[padded];
  if (recording == nullptr) {
    recording = s.work.Record([this, &s, padded] { RunRows(s, padded); });
  }
  recording->Run();
}

void PagedStep::Run(const StepRows& rows) {
  const c10::NoGradGuard no_grad;
  const std::int64_t padded = Padded(static_cast<std::int64_t>(rows.sources.size()));
  UploadRows(rows, padded);
  ReturnTokens();
  RunOrRepeat(first(), padded);
  for (std::size_t i = 1; i < stretches_.size(); ++i) {
    Pass(i, padded);
    RunOrRepeat(*stretches_[i], padded);
  }
}

void PagedStep::AttendPrompts(const Stretch& s,
                              const std::vector<std::int64_t>& begins,
                              const at::Tensor& on_device) const {
  const ModelConfig& c = config();
  const std::int64_t tokens = begins.back();
  const at::Tensor heads =
      s.qkv.narrow(0, 0, tokens).view({tokens, c.num_heads + 2 * c.num_kv_heads, c.head_dim});
  s.mixed.narrow(0, 0, tokens)
      .view({tokens, c.num_heads, c.head_dim})
      .copy_(PackedCausalAttention(heads.narrow(1, 0, c.num_heads),
                                   heads.narrow(1, c.num_heads, c.num_kv_heads),
                                   heads.narrow(1, c.num_heads + c.num_kv_heads, c.num_kv_heads),
                                   begins,
                                   on_device));
}

void PagedStep::ComputePrompts(const std::vector<PromptRows>& prompts) {
  const c10::NoGradGuard no_grad;
  std::vector<std::int64_t> begins = {0};
  for (const PromptRows& prompt : prompts) {
    begins.push_back(begins.back() + static_cast<std::int64_t>(prompt.ids->size()));
  }
  const std::int64_t tokens = begins.back();
  if (tokens > prompt_tokens_) {
    throw EngineError(FailureClass::kBug, "prompts of " + std::to_string(tokens) +
                                              " tokens at once; at most " +
                                              std::to_string(prompt_tokens_));
  }
  const auto count = static_cast<std::int64_t>(prompts.size());
  const at::Tensor host = PromptPlan(prompts, begins);
  at::Tensor plan;
  for (std::size_t i = 0; i < stretches_.size(); ++i) {
    Stretch& s = *stretches_[i];
    if (i > 0) {
      Pass(i, tokens);
    }
    const DeviceWork::Scope scope(s.work);
    plan = at::empty(host.sizes(), s.plan.options());
    plan.copy_(host, /*non_blocking=*/true);
    RunLayers(s,
              tokens,
              tokens,
              Ints(plan),
              nullptr,
              Ints(plan) + tokens,
              Ints(plan) + 2 * tokens,
              [&](std::int64_t) {
                AttendPrompts(s, begins, plan.narrow(0, 3 * tokens + 2 * count, count + 1));
              });
  }
  const DeviceWork::Scope scope(last().work);
  const at::Tensor ends = at::index_select(last().normed, 0, plan.narrow(0, 3 * tokens, count));
  last().prompt_logits.index_copy_(0,
                                   plan.narrow(0, 3 * tokens + count, count).to(at::kLong),
                                   at::mm(ends, weights_->llama->lm_head.t()));
}

// i32: ids, positions and locations of all tokens; of each prompt its last row and where its logits
// go; where prompts begin, and the end.
at::Tensor PagedStep::PromptPlan(const std::vector<PromptRows>& prompts,
                                 const std::vector<std::int64_t>& begins) const {
  const std::int64_t tokens = begins.back();
  const auto count = static_cast<std::int64_t>(prompts.size());
  at::Tensor host = last().work.HostInts(3 * tokens + 3 * count + 1);
  auto* id = host.data_ptr<std::int32_t>();
  std::int32_t* last_rows = id + 3 * tokens;
  std::int64_t row = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const PromptRows& prompt = prompts[static_cast<std::size_t>(i)];
    for (std::size_t position = 0; position < prompt.ids->size(); ++position, ++row) {
      constexpr auto kPage = static_cast<std::size_t>(kernels::kPageTokens);
      id[row] = static_cast<std::int32_t>((*prompt.ids)[position]);
      id[tokens + row] = static_cast<std::int32_t>(position);
      id[2 * tokens + row] = (*prompt.pages)[position / kPage] * static_cast<std::int32_t>(kPage) +
                             static_cast<std::int32_t>(position % kPage);
    }
    last_rows[i] = static_cast<std::int32_t>(row - 1);
    last_rows[count + i] = static_cast<std::int32_t>(prompt.logits_row);
  }
  std::copy(begins.begin(), begins.end(), last_rows + 2 * count);
  return host;
}

}  // namespace bitsweep::engine
