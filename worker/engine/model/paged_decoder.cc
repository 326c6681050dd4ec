// Generation with a paged key/value cache (decoder.h). A prompt's pages are shared by all its
// samples, each of which writes on in pages of its own. A step is one upload, one recorded graph,
// one launch that draws, and one download of token numbers: the host plans the next step while the
// device still runs this one, because lengths are known before tokens are. Sequences that have to
// wait for pages (page_ledger.h) leave theirs in host memory and go on with the same bits.
#include <algorithm>
#include <deque>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "worker/engine/error.h"
#include "worker/engine/model/attention_plan.h"
#include "worker/engine/model/decoder.h"
#include "worker/engine/model/device_work.h"
#include "worker/engine/model/generation_kernels.h"
#include "worker/engine/model/llama.h"
#include "worker/engine/model/page_ledger.h"
#include "worker/engine/model/paged_step.h"

namespace bitsweep::engine {
namespace {

// Prompts whose samples have not all started; each keeps a row of logits.
constexpr std::int64_t kPromptsMax = 64;
// Steps between Launch and Collect.
constexpr std::size_t kInFlightMax = 2;

struct Sequence {
  kernels::DrawKey key;         // Of the next token.
  std::int64_t logits_row;      // Of the prompt, until the first token is drawn; then -1.
  std::int64_t row = -1;        // In the step that was launched last; -1: `last` goes to the device.
  std::int64_t in_flight = 0;   // Steps that were not collected.
  std::int32_t last = -1;       // Token, of the step that was collected last.
  at::Tensor saved = {};        // Its pages, while it waits.
};

class PagedDecoder final : public Decoder, public BatchDecoder {
 public:
  PagedDecoder(std::shared_ptr<const PagedWeights> weights,
               const DecoderOptions& options,
               const DrawOptions& draw)
      : options_(options),
        pages_each_(PageLedger::PagesFor(options.positions) + 1),
        step_(std::move(weights),
              {.rows = options.slots,
               .positions = options.positions,
               .prompts = kPromptsMax,
               .pages = PagesWanted(options, pages_each_),
               .pages_min = 2 * pages_each_ + 1,
               .batch_invariant = options.batch_invariant,
               .memory_divisor = options.memory_divisor},
              draw),
        pages_(step_.pages(), options.positions) {
    for (std::int64_t row = kPromptsMax; row-- > 0;) {
      logits_rows_.push_back(row);
    }
    // Beside the staged prompt.
    slots_ = std::clamp<std::int64_t>((step_.pages() - 1) / pages_each_ - 1, 1, options.slots);
    sequence_of_slot_.assign(static_cast<std::size_t>(options.slots), -1);
  }

  // As a Decoder each slot may grow to all positions; as a BatchDecoder the ledger decides.
  std::int64_t slots() const override { return slots_; }
  at::Tensor Prefill(const std::vector<std::int64_t>& ids) override;
  void Place(std::int64_t slot) override;
  void Move(std::int64_t from, std::int64_t to, std::int64_t length) override;
  at::Tensor Step(const std::vector<std::int64_t>& tokens,
                  const std::vector<std::int64_t>& positions) override;

  std::int64_t sequences_max() const override { return options_.slots; }
  std::int64_t prompt_tokens_max() const override { return step_.prompt_tokens(); }
  bool CanAdd(const std::vector<std::int64_t>& lengths) const override;
  std::vector<std::int64_t> AddPrompts(
      const std::vector<const std::vector<std::int64_t>*>& prompts) override;
  void DropPrompt(std::int64_t prompt) override;
  std::int64_t room() const override { return pages_.room(); }
  bool CanStart(std::int64_t prompt) const override {
    return pages_.live() < options_.slots && pages_.CanStart(prompt);
  }
  std::int64_t Start(std::int64_t prompt, const kernels::DrawKey& key) override;
  void End(std::int64_t sequence) override;
  std::vector<std::int64_t> Launch(const std::vector<std::int64_t>& sequences) override;
  std::vector<Chosen> Collect() override;

 private:
  struct InFlight {
    std::vector<std::int64_t> sequences;
    std::vector<std::int64_t> firsts;  // Their places among the first tokens, or -1.
    PagedStep::Download tokens;
  };

  static std::int64_t PagesWanted(const DecoderOptions& options, std::int64_t each) {
    const std::int64_t all = (options.slots + kPromptsMax) * each + 1;
    return options.pages_max > 0 ? std::min(options.pages_max, all) : all;
  }
  // Pages for one token more of these sequences, as far as they suffice -> those that have them.
  std::vector<std::int64_t> Grow(const std::vector<std::int64_t>& sequences);
  // A step's rows in the form of paged_step.h.
  StepRows TakeRows(const std::vector<std::int64_t>& sequences);
  bool Awaited(std::int64_t logits_row) const;
  void FreeDroppedRows();

  const DecoderOptions options_;
  const std::int64_t pages_each_;  // Of a prompt and a completion, at most.
  PagedStep step_;
  PageLedger pages_;
  std::int64_t slots_ = 0;
  std::map<std::int64_t, std::int64_t> prompt_rows_;  // Of the logits, by prompt.
  std::map<std::int64_t, Sequence> sequences_;
  std::vector<std::int64_t> logits_rows_;  // Free ones.
  // Of dropped prompts: a sequence may still have to draw from them at the next Launch.
  std::vector<std::int64_t> dropped_rows_;
  std::deque<InFlight> in_flight_;
  // As a Decoder.
  std::int64_t staged_ = -1;
  std::vector<std::int64_t> sequence_of_slot_;
};

bool PagedDecoder::CanAdd(const std::vector<std::int64_t>& lengths) const {
  const auto droppable = std::count_if(dropped_rows_.begin(), dropped_rows_.end(), [&](auto row) {
    return !Awaited(row);
  });
  return lengths.size() <= logits_rows_.size() + static_cast<std::size_t>(droppable) &&
         pages_.CanAdd(lengths);
}

std::vector<std::int64_t> PagedDecoder::AddPrompts(
    const std::vector<const std::vector<std::int64_t>*>& prompts) {
  if (logits_rows_.size() < prompts.size()) {
    FreeDroppedRows();
  }
  std::vector<std::int64_t> numbers;
  std::vector<PromptRows> computed;
  for (const std::vector<std::int64_t>* ids : prompts) {
    numbers.push_back(pages_.AddPrompt(static_cast<std::int64_t>(ids->size())));
    prompt_rows_[numbers.back()] = logits_rows_.back();
    computed.push_back({ids, &pages_.prompt(numbers.back()).pages, logits_rows_.back()});
    logits_rows_.pop_back();
  }
  if (options_.batch_invariant) {
    for (const PromptRows& prompt : computed) {
      step_.ComputePrompts({prompt});
    }
  } else {
    step_.ComputePrompts(computed);
  }
  return numbers;
}

void PagedDecoder::DropPrompt(std::int64_t prompt) {
  dropped_rows_.push_back(prompt_rows_.at(prompt));
  prompt_rows_.erase(prompt);
  pages_.DropPrompt(prompt);
}

// A row of logits may be overwritten once every sequence that started from it has drawn.
bool PagedDecoder::Awaited(std::int64_t logits_row) const {
  return std::any_of(sequences_.begin(), sequences_.end(), [&](const auto& entry) {
    return entry.second.logits_row == logits_row;
  });
}

void PagedDecoder::FreeDroppedRows() {
  std::vector<std::int64_t> kept;
  for (const std::int64_t row : dropped_rows_) {
    (Awaited(row) ? kept : logits_rows_).push_back(row);
  }
  dropped_rows_ = std::move(kept);
}

std::int64_t PagedDecoder::Start(std::int64_t prompt, const kernels::DrawKey& key) {
  const std::int64_t number = pages_.Start(prompt);
  sequences_.emplace(number, Sequence{.key = key, .logits_row = prompt_rows_.at(prompt)});
  return number;
}

void PagedDecoder::End(std::int64_t sequence) {
  pages_.End(sequence);
  sequences_.erase(sequence);
}

std::vector<std::int64_t> PagedDecoder::Grow(const std::vector<std::int64_t>& sequences) {
  const PageLedger::Step step = pages_.Grow(sequences, [&](std::int64_t number) {
    // The host must know the token that it goes on with.
    return sequences_.at(number).in_flight == 0;
  });
  for (const PageLedger::Pages& gone : step.suspended) {
    if (!gone.pages.empty()) {
      sequences_.at(gone.sequence).saved = step_.SavePages(gone.pages);
    }
  }
  for (const PageLedger::Pages& back : step.resumed) {
    Sequence& sequence = sequences_.at(back.sequence);
    if (!back.pages.empty()) {
      step_.RestorePages(sequence.saved, back.pages);
      sequence.saved = at::Tensor();
    }
    sequence.row = -1;
  }
  return step.sequences;
}

StepRows PagedDecoder::TakeRows(const std::vector<std::int64_t>& sequences) {
  StepRows rows;
  std::vector<PlannedRow> planned;
  const auto firsts = static_cast<std::int32_t>(
      std::count_if(sequences.begin(), sequences.end(), [&](std::int64_t number) {
        return sequences_.at(number).logits_row >= 0;
      }));
  for (const std::int64_t number : sequences) {
    Sequence& sequence = sequences_.at(number);
    const PageLedger::Sequence& held = pages_.sequence(number);
    const PageLedger::Prompt& prompt = pages_.prompt(held.prompt);
    const std::int64_t own = held.own_tokens - 1;  // Place of the token that is fed.
    if (prompt.tokens + own >= options_.positions) {
      throw EngineError(FailureClass::kBug, "a sequence was fed beyond the decoder's positions");
    }
    const auto beyond = static_cast<std::int32_t>(options_.slots);
    if (sequence.logits_row >= 0) {
      rows.sources.push_back(beyond + static_cast<std::int32_t>(rows.first_logits_rows.size()));
      rows.first_logits_rows.push_back(static_cast<std::int32_t>(sequence.logits_row));
      rows.first_keys.push_back(sequence.key);
      ++sequence.key.position;
      sequence.logits_row = -1;
    } else if (sequence.row < 0) {
      rows.sources.push_back(beyond + firsts + static_cast<std::int32_t>(rows.given.size()));
      rows.given.push_back(sequence.last);
    } else {
      rows.sources.push_back(static_cast<std::int32_t>(sequence.row));
    }
    rows.positions.push_back(static_cast<std::int32_t>(prompt.tokens + own));
    const std::int64_t page = held.pages[static_cast<std::size_t>(own / kernels::kPageTokens)];
    rows.locations.push_back(
        static_cast<std::int32_t>(page * kernels::kPageTokens + own % kernels::kPageTokens));
    rows.keys.push_back(sequence.key);
    ++sequence.key.position;
    sequence.row = static_cast<std::int64_t>(rows.sources.size()) - 1;
    planned.push_back({held.prompt, &prompt.pages, prompt.tokens, &held.pages, held.own_tokens});
  }
  rows.attention = PlanAttention(planned, step_.group());
  return rows;
}

std::vector<std::int64_t> PagedDecoder::Launch(const std::vector<std::int64_t>& offered) {
  if (in_flight_.size() >= kInFlightMax) {
    throw EngineError(FailureClass::kBug, "a step was launched before an earlier one was collected");
  }
  InFlight step;
  step.sequences = Grow(offered);
  if (step.sequences.empty()) {
    return {};
  }
  std::int64_t firsts = 0;
  for (const std::int64_t number : step.sequences) {
    step.firsts.push_back(sequences_.at(number).logits_row >= 0 ? firsts++ : -1);
    ++sequences_.at(number).in_flight;
  }
  const StepRows rows = TakeRows(step.sequences);
  step_.MakeTokens(rows);
  step_.Run(rows);
  step.tokens = step_.DrawAndDownload(rows);
  in_flight_.push_back(std::move(step));
  return in_flight_.back().sequences;
}

std::vector<BatchDecoder::Chosen> PagedDecoder::Collect() {
  InFlight step = std::move(in_flight_.front());
  in_flight_.pop_front();
  step.tokens.mark->Await();
  const std::int32_t* next = step.tokens.host.data_ptr<std::int32_t>();
  const std::int32_t* first = next + step.sequences.size();
  std::vector<Chosen> chosen;
  for (std::size_t row = 0; row < step.sequences.size(); ++row) {
    const std::int64_t at = step.firsts[row];
    chosen.push_back({step.sequences[row], at < 0 ? -1 : first[at], next[row]});
    if (chosen.back().next < 0 || (at >= 0 && chosen.back().first < 0)) {
      throw EngineError(FailureClass::kDiverged, "the model's logits hold NaN or infinity");
    }
    if (const auto of = sequences_.find(step.sequences[row]); of != sequences_.end()) {
      of->second.last = next[row];
      --of->second.in_flight;
    }
  }
  return chosen;
}

at::Tensor PagedDecoder::Prefill(const std::vector<std::int64_t>& ids) {
  if (staged_ >= 0) {
    DropPrompt(staged_);
  }
  staged_ = AddPrompts({&ids})[0];
  return step_.PromptLogits(prompt_rows_.at(staged_));
}

void PagedDecoder::Place(std::int64_t slot) {
  std::int64_t& sequence = sequence_of_slot_.at(static_cast<std::size_t>(slot));
  if (sequence >= 0) {
    End(sequence);
  }
  sequence = Start(staged_, {});
  sequences_.at(sequence).logits_row = -1;  // The caller chooses.
}

// The slot that is moved from is left empty: nobody steps it again before it is placed or moved to.
void PagedDecoder::Move(std::int64_t from, std::int64_t to, std::int64_t length) {
  std::int64_t& target = sequence_of_slot_.at(static_cast<std::size_t>(to));
  std::int64_t& source = sequence_of_slot_.at(static_cast<std::size_t>(from));
  if (target >= 0) {
    End(target);
  }
  target = std::exchange(source, -1);
  pages_.SetTokens(target, length);
}

at::Tensor PagedDecoder::Step(const std::vector<std::int64_t>& tokens,
                              const std::vector<std::int64_t>& positions) {
  std::vector<std::int64_t> sequences;
  for (std::size_t slot = 0; slot < tokens.size(); ++slot) {
    sequences.push_back(sequence_of_slot_.at(slot));
    pages_.SetTokens(sequences.back(), positions[slot]);
    sequences_.at(sequences.back()).last = static_cast<std::int32_t>(tokens[slot]);
    sequences_.at(sequences.back()).row = -1;
  }
  if (Grow(sequences).size() != sequences.size()) {
    throw EngineError(FailureClass::kBug, "slots outgrew the key/value cache");
  }
  const StepRows rows = TakeRows(sequences);
  step_.MakeTokens(rows);
  step_.Run(rows);
  return step_.Logits(static_cast<std::int64_t>(tokens.size()));
}

class PagedDecoderModel final : public DecoderModel {
 public:
  explicit PagedDecoderModel(std::shared_ptr<const PagedWeights> weights)
      : weights_(std::move(weights)) {}
  std::unique_ptr<Decoder> MakeDecoder(const DecoderOptions& options) const override {
    return std::make_unique<PagedDecoder>(weights_, options, DrawOptions{});
  }
  std::unique_ptr<BatchDecoder> MakeBatchDecoder(const DecoderOptions& options,
                                                 const DrawOptions& draw) const override {
    return std::make_unique<PagedDecoder>(weights_, options, draw);
  }
  std::int64_t SlotBytes(std::int64_t positions) const override {
    return (PageLedger::PagesFor(positions) + 1) * weights_->PageBytes() *
           weights_->config().num_layers;
  }
  bool threads_decode_alone() const override { return false; }

 private:
  const std::shared_ptr<const PagedWeights> weights_;
};

}  // namespace

std::shared_ptr<const DecoderModel> MakePagedDecoderModel(std::shared_ptr<const LlamaModel> llama,
                                                          at::Device) {
  return MakePagedDecoderModel(std::move(llama), std::vector<std::int64_t>{0});
}

std::shared_ptr<const DecoderModel> MakePagedDecoderModel(
    std::shared_ptr<const LlamaModel> llama, const std::vector<std::int64_t>& first_layers) {
  if (!PagedDecoderServes(
          llama->config, llama->embed_tokens.scalar_type(), llama->embed_tokens.device())) {
    return nullptr;
  }
  const GenerationKernels* kernels = ChooseGenerationKernels(llama->embed_tokens.device());
  return std::make_shared<PagedDecoderModel>(
      std::make_shared<const PagedWeights>(std::move(llama), kernels, first_layers));
}

bool PagedDecoderServes(const ModelConfig& config, at::ScalarType dtype, at::Device device) {
  return ChooseGenerationKernels(device) != nullptr &&
         (dtype == at::kHalf || dtype == at::kBFloat16) && config.vocab_size <= (1 << 18) &&
         kernels::CachedAttentionSupported(config.num_heads, config.num_kv_heads, config.head_dim);
}

std::vector<std::int64_t> EvenStretches(std::int64_t layers, std::int64_t stretches) {
  std::vector<std::int64_t> begins;
  for (std::int64_t i = 0; i < stretches; ++i) {
    begins.push_back(layers * i / stretches);
  }
  return begins;
}

}  // namespace bitsweep::engine
