#include "worker/engine/generate/prompt.h"

#include <algorithm>
#include <array>

namespace bitsweep::engine {
namespace {

// White_Space of Unicode beyond ASCII, as UTF-8; and the four separators U+001C..U+001F, which
// Python's strip() counts too.
constexpr std::array<std::string_view, 19> kWideSpaces = {"\xC2\x85",
                                                          "\xC2\xA0",
                                                          "\xE1\x9A\x80",
                                                          "\xE2\x80\x80",
                                                          "\xE2\x80\x81",
                                                          "\xE2\x80\x82",
                                                          "\xE2\x80\x83",
                                                          "\xE2\x80\x84",
                                                          "\xE2\x80\x85",
                                                          "\xE2\x80\x86",
                                                          "\xE2\x80\x87",
                                                          "\xE2\x80\x88",
                                                          "\xE2\x80\x89",
                                                          "\xE2\x80\x8A",
                                                          "\xE2\x80\xA8",
                                                          "\xE2\x80\xA9",
                                                          "\xE2\x80\xAF",
                                                          "\xE2\x81\x9F",
                                                          "\xE3\x80\x80"};

bool IsNarrowSpace(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r') || (c >= '\x1C' && c <= '\x1F');
}

// Bytes of the white space character that `text` begins (or ends) with; 0 when it does not.
std::size_t SpaceAtFront(std::string_view text) {
  if (!text.empty() && IsNarrowSpace(text.front())) {
    return 1;
  }
  const auto it = std::find_if(kWideSpaces.begin(), kWideSpaces.end(), [&](std::string_view s) {
    return text.starts_with(s);
  });
  return it == kWideSpaces.end() ? 0 : it->size();
}

std::size_t SpaceAtBack(std::string_view text) {
  if (!text.empty() && IsNarrowSpace(text.back())) {
    return 1;
  }
  const auto it = std::find_if(kWideSpaces.begin(), kWideSpaces.end(), [&](std::string_view s) {
    return text.ends_with(s);
  });
  return it == kWideSpaces.end() ? 0 : it->size();
}

}  // namespace

std::string_view StripWhiteSpace(std::string_view text) {
  while (const std::size_t bytes = SpaceAtFront(text)) {
    text.remove_prefix(bytes);
  }
  while (const std::size_t bytes = SpaceAtBack(text)) {
    text.remove_suffix(bytes);
  }
  return text;
}

Prompt MakePrompt(const Tokenizer& tokenizer, std::string_view text, std::int64_t tokens_max) {
  Prompt prompt;
  prompt.ids = tokenizer.Encode(StripWhiteSpace(text));
  if (tokenizer.bos_id() >= 0) {
    prompt.ids.insert(prompt.ids.begin(), tokenizer.bos_id());
  }
  if (static_cast<std::int64_t>(prompt.ids.size()) >= tokens_max) {
    prompt.ids.resize(static_cast<std::size_t>(tokens_max - 1));
    prompt.truncated = true;
  }
  return prompt;
}

}  // namespace bitsweep::engine
