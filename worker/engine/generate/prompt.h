// What is fed to a model for one problem, and how the completion's text is told from the prompt's.
// Thread rule: immutable after MakePrompt; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "worker/engine/tokenizer/tokenizer.h"

namespace bitsweep::engine {

struct Prompt {
  std::vector<std::int64_t> ids;  // The beginning-of-text id first, where the tokenizer adds one.
  bool truncated = false;
};

/// `text` without white space (as Unicode defines it) at either end: the study strips prompts
/// before it tokenizes them.
std::string_view StripWhiteSpace(std::string_view text);

/// The stripped prompt's ids, at most tokens_max - 1 of them (the first ones), so that one token
/// can follow. REQUIRES: tokens_max >= 2.
Prompt MakePrompt(const Tokenizer& tokenizer, std::string_view text, std::int64_t tokens_max);

}  // namespace bitsweep::engine
