#include "worker/engine/tokenizer/utf8.h"

namespace bitsweep::engine {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

struct Sequence {
  std::size_t bytes;  // Of the character, or of its ill-formed maximal subpart (at least 1).
  bool is_valid;
};

// Table 3-7 of the Unicode standard: the second byte's range depends on the first.
Sequence Scan(std::string_view text, std::size_t position) {
  const auto byte_at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte_at(position);
  if (lead < 0x80) {
    return {1, true};
  }
  if (lead < 0xC2 || lead > 0xF4) {
    return {1, false};
  }
  const std::size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  unsigned char low = 0x80;
  unsigned char high = 0xBF;
  if (lead == 0xE0) {
    low = 0xA0;
  } else if (lead == 0xED) {
    high = 0x9F;
  } else if (lead == 0xF0) {
    low = 0x90;
  } else if (lead == 0xF4) {
    high = 0x8F;
  }
  for (std::size_t i = 1; i < length; ++i) {
    if (position + i >= text.size() || byte_at(position + i) < low ||
        byte_at(position + i) > high) {
      return {i, false};
    }
    low = 0x80;
    high = 0xBF;
  }
  return {length, true};
}

}  // namespace

std::size_t Utf8Length(char lead) {
  const auto byte = static_cast<unsigned char>(lead);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

void AppendUtf8(std::uint32_t code_point, std::string* text) {
  const auto tail = [&](int shift) {
    text->push_back(static_cast<char>(0x80 | ((code_point >> shift) & 0x3F)));
  };
  if (code_point < 0x80) {
    text->push_back(static_cast<char>(code_point));
  } else if (code_point < 0x800) {
    text->push_back(static_cast<char>(0xC0 | (code_point >> 6)));
    tail(0);
  } else if (code_point < 0x10000) {
    text->push_back(static_cast<char>(0xE0 | (code_point >> 12)));
    tail(6);
    tail(0);
  } else {
    text->push_back(static_cast<char>(0xF0 | (code_point >> 18)));
    tail(12);
    tail(6);
    tail(0);
  }
}

std::uint32_t NextCodePoint(std::string_view text, std::size_t* position) {
  const auto byte_at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const std::size_t length = Utf8Length(text[*position]);
  const std::uint32_t lead = byte_at(*position);
  std::uint32_t code_point = length == 1 ? lead : lead & (0xFFU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    code_point = (code_point << 6) | (byte_at(*position + i) & 0x3FU);
  }
  *position += length;
  return code_point;
}

bool IsValidUtf8(std::string_view bytes) {
  for (std::size_t position = 0; position < bytes.size();) {
    const Sequence sequence = Scan(bytes, position);
    if (!sequence.is_valid) {
      return false;
    }
    position += sequence.bytes;
  }
  return true;
}

std::string LossyUtf8(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  for (std::size_t position = 0; position < bytes.size();) {
    const Sequence sequence = Scan(bytes, position);
    text += sequence.is_valid ? bytes.substr(position, sequence.bytes) : kReplacement;
    position += sequence.bytes;
  }
  return text;
}

}  // namespace bitsweep::engine
