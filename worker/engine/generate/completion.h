// The text of one completion while its tokens arrive, and the decision to stop.
// Thread rule: one sequence, one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "worker/benchmark/record.h"
#include "worker/benchmark/stop.h"
#include "worker/engine/generate/prompt.h"
#include "worker/engine/tokenizer/tokenizer.h"

namespace bitsweep::engine {

/// How far a completion goes beyond its stop strings.
enum class EarlyStop {
  kNone,      // To the end of text or the limit.
  kClass,     // Java: to the end of the prompt's class. What follows it cannot make a program pass
              // under any policy.
  kFunction,  // To the end of the prompt's function: enough for the study's cut, too little to keep
              // helpers later.
};

enum class Finish {
  kNone,     // Goes on.
  kEos,      // An end-of-text id.
  kStop,     // A stop string.
  kScanner,  // EarlyStop.
  kLength,   // Prompt and completion reached the limit.
};

/// The text after the prompt's: decode(prompt + completion, special tokens skipped) less
/// decode(prompt). Both are decoded from the prompt's start, because a decoder may treat the first
/// token differently (a leading space of Llama's). Where a cut prompt ends inside a character, the
/// replacement character that stands for its half is no part of what is removed.
std::string CompletionText(const Tokenizer& tokenizer,
                           const std::vector<std::int64_t>& prompt,
                           const std::vector<std::int64_t>& completion);

/// One growing completion.
class Completion {
 public:
  /// All referents outlive the completion. `tokens_max` counts prompt and completion.
  struct Rules {
    const Tokenizer& tokenizer;
    const benchmark::Record& record;
    const std::vector<std::int64_t>& eos_ids;
    std::int64_t tokens_max;
    EarlyStop early_stop;
  };
  Completion(const Rules& rules, const Prompt& prompt);

  /// Takes the next token and says whether the completion ends with it.
  Finish Append(std::int64_t id);
  /// The final text, cut at the earliest stop string.
  std::string Text() const;
  /// Tokens taken, an end-of-text id included.
  std::int64_t tokens() const { return static_cast<std::int64_t>(ids_.size()); }

 private:
  // Moves what the tokens since `settled_` spell to text_, once they spell whole characters. True
  // when text_ grew.
  bool Settle();
  bool ScannerStops(std::size_t grown_from) const;

  const Rules rules_;
  const Prompt& prompt_;
  benchmark::StopSearch stop_search_;
  std::vector<std::int64_t> ids_;
  // text_ is decoded a few tokens at a time: anchor_ <= settled_ index prompt + completion; the
  // tokens between them give the decoder the context it needs, and are no longer than one settled
  // piece.
  std::size_t anchor_ = 0, settled_ = 0;
  std::string text_;
};

}  // namespace bitsweep::engine
