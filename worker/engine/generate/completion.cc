#include "worker/engine/generate/completion.h"

#include <algorithm>

#include "worker/benchmark/program.h"
#include "worker/benchmark/scanner.h"

namespace bitsweep::engine {
namespace {

constexpr std::string_view kReplacement =
    "\xEF\xBF\xBD";  // U+FFFD, what half a character decodes to.

// Context for decoding the first completion tokens: a few tokens of the prompt.
constexpr std::size_t kContextTokens = 6;

// Bytes of `whole` that belong to `prefix`'s text, where prefix's last characters may be halves
// that `whole` completes.
std::size_t SharedPrefix(std::string_view prefix, std::string_view whole) {
  if (whole.starts_with(prefix)) {
    return prefix.size();
  }
  while (prefix.ends_with(kReplacement)) {
    prefix.remove_suffix(kReplacement.size());
  }
  const auto differ = std::mismatch(prefix.begin(), prefix.end(), whole.begin(), whole.end());
  auto shared = static_cast<std::size_t>(differ.first - prefix.begin());
  while (shared > 0 && shared < whole.size() &&
         (static_cast<unsigned char>(whole[shared]) & 0xC0U) == 0x80U) {
    --shared;  // Never inside a character.
  }
  return shared;
}

}  // namespace

std::string CompletionText(const Tokenizer& tokenizer,
                           const std::vector<std::int64_t>& prompt,
                           const std::vector<std::int64_t>& completion) {
  std::vector<std::int64_t> all = prompt;
  all.insert(all.end(), completion.begin(), completion.end());
  const std::string before = tokenizer.Decode(prompt, /*skip_special=*/true);
  const std::string whole = tokenizer.Decode(all, /*skip_special=*/true);
  return whole.substr(SharedPrefix(before, whole));
}

Completion::Completion(const Rules& rules, const Prompt& prompt)
    : rules_(rules),
      prompt_(prompt),
      stop_search_(rules.record.stop_tokens),
      anchor_(prompt.ids.size() - std::min(prompt.ids.size(), kContextTokens)),
      settled_(prompt.ids.size()) {}

bool Completion::Settle() {
  const std::size_t prompt_size = prompt_.ids.size();
  const auto piece = [&](std::size_t end) {
    std::vector<std::int64_t> ids;
    for (std::size_t i = anchor_; i < end; ++i) {
      ids.push_back(i < prompt_size ? prompt_.ids[i] : ids_[i - prompt_size]);
    }
    return rules_.tokenizer.Decode(ids, /*skip_special=*/true);
  };
  const std::size_t end = prompt_size + ids_.size();
  const std::string whole = piece(end);
  if (whole.ends_with(kReplacement)) {
    return false;  // Perhaps half a character: wait for the rest.
  }
  const std::string before = piece(settled_);
  const std::size_t shared = SharedPrefix(before, whole);
  const bool grew = whole.size() > shared;
  text_.append(whole, shared);
  // A token that spells nothing (a special one) must not become the whole context: the decoder
  // would take the next token for the first of a text.
  anchor_ = grew ? settled_ : anchor_;
  settled_ = end;
  return grew;
}

bool Completion::ScannerStops(std::size_t grown_from) const {
  const bool java = rules_.record.language == benchmark::Language::kJava;
  // A Java function or class can only have ended where a brace was closed.
  if (java && text_.find('}', grown_from) == std::string::npos) {
    return false;
  }
  switch (rules_.early_stop) {
    case EarlyStop::kNone:
      return false;
    case EarlyStop::kClass:
      return java && benchmark::ClassComplete(rules_.record, text_);
    case EarlyStop::kFunction:
      return benchmark::FunctionComplete(rules_.record, text_);
  }
  return false;
}

Finish Completion::Append(std::int64_t id) {
  ids_.push_back(id);
  if (std::find(rules_.eos_ids.begin(), rules_.eos_ids.end(), id) != rules_.eos_ids.end()) {
    return Finish::kEos;
  }
  const std::size_t grown_from = text_.size();
  if (Settle()) {
    // The pieces are trusted to say "perhaps"; the text that is stored says so for good.
    if (stop_search_.Find(text_) != std::string::npos &&
        benchmark::FindStop(CompletionText(rules_.tokenizer, prompt_.ids, ids_),
                            rules_.record.stop_tokens) != std::string::npos) {
      return Finish::kStop;
    }
    if (ScannerStops(grown_from)) {
      return Finish::kScanner;
    }
  }
  return static_cast<std::int64_t>(prompt_.ids.size() + ids_.size()) >= rules_.tokens_max
             ? Finish::kLength
             : Finish::kNone;
}

std::string Completion::Text() const {
  std::string text = CompletionText(rules_.tokenizer, prompt_.ids, ids_);
  text.resize(benchmark::CutAtStop(text, rules_.record.stop_tokens).size());
  return text;
}

}  // namespace bitsweep::engine
