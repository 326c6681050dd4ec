// A tokenizer whose ids are bytes, with the traits of Llama's that a completion's text must
// survive: one leading space is dropped when decoding, and bytes that are no UTF-8 become U+FFFD,
// one for each byte.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "worker/engine/tokenizer/tokenizer.h"

namespace bitsweep::engine {

class ByteTokenizer final : public Tokenizer {
 public:
  static constexpr std::int64_t kBos = 256;
  static constexpr std::int64_t kEos = 257;

  std::vector<std::int64_t> Encode(std::string_view text) const override {
    std::vector<std::int64_t> ids;
    for (const char c : text) {
      ids.push_back(static_cast<unsigned char>(c));
    }
    return ids;
  }
  std::string Decode(const std::vector<std::int64_t>& ids,
                     bool skip_special = false) const override {
    std::string bytes;
    for (const std::int64_t id : ids) {
      if (id < 256) {
        bytes.push_back(static_cast<char>(id));
      } else if (!skip_special) {
        bytes += id == kBos ? "<s>" : "</s>";
      }
    }
    std::string text;
    for (std::size_t i = 0; i < bytes.size();) {
      const std::size_t length = CharacterLength(std::string_view(bytes).substr(i));
      text += length == 0 ? std::string("\xEF\xBF\xBD") : bytes.substr(i, length);
      i += std::max<std::size_t>(length, 1);
    }
    return text.starts_with(' ') ? text.substr(1) : text;
  }
  std::int64_t bos_id() const override { return kBos; }
  std::int64_t eos_id() const override { return kEos; }
  bool IsSpecial(std::int64_t id) const override { return id >= 256; }
  std::int64_t vocab_size() const override { return 258; }

 private:
  // Bytes of the whole character that `text` begins with; 0 when it begins with none.
  static std::size_t CharacterLength(std::string_view text) {
    const auto lead = static_cast<unsigned char>(text[0]);
    const std::size_t length = lead < 0x80   ? 1
                               : lead < 0xC2 ? 0
                               : lead < 0xE0 ? 2
                               : lead < 0xF0 ? 3
                               : lead < 0xF5 ? 4
                                             : 0;
    for (std::size_t i = 1; i < length; ++i) {
      if (i >= text.size() || (static_cast<unsigned char>(text[i]) & 0xC0U) != 0x80U) {
        return 0;
      }
    }
    return length;
  }
};

}  // namespace bitsweep::engine
