#include "worker/engine/tokenizer/byte_level.h"

#include <array>

#include "worker/engine/tokenizer/utf8.h"

namespace bitsweep::engine {
namespace {

// Printable Latin-1 stands for itself; the other 68 bytes are 256, 257, ... in order.
constexpr bool IsPrintable(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr int kOthers = 68;

struct Alphabet {
  std::array<std::string, 256> character_of_byte;
  std::array<unsigned char, kOthers> byte_of_other{};
  Alphabet() {
    std::uint32_t next = 256;
    for (int byte = 0; byte < 256; ++byte) {
      const std::uint32_t code_point =
          IsPrintable(byte) ? static_cast<std::uint32_t>(byte) : next++;
      AppendUtf8(code_point, &character_of_byte[static_cast<std::size_t>(byte)]);
      if (!IsPrintable(byte)) {
        byte_of_other[code_point - 256] = static_cast<unsigned char>(byte);
      }
    }
  }
};

const Alphabet& TheAlphabet() {
  static const Alphabet alphabet;
  return alphabet;
}

}  // namespace

std::string BytesToAlphabet(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const char byte : bytes) {
    text += TheAlphabet().character_of_byte[static_cast<unsigned char>(byte)];
  }
  return text;
}

std::optional<unsigned char> AlphabetToByte(std::uint32_t code_point) {
  if (code_point < 256) {
    if (IsPrintable(static_cast<int>(code_point))) {
      return static_cast<unsigned char>(code_point);
    }
    return std::nullopt;
  }
  if (code_point < 256 + kOthers) {
    return TheAlphabet().byte_of_other[code_point - 256];
  }
  return std::nullopt;
}

}  // namespace bitsweep::engine
