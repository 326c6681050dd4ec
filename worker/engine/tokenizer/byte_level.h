// The byte-level alphabet of GPT-2: every byte is one printable character. Thread rule: any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bitsweep::engine {

/// Every byte of `bytes` as its character, in UTF-8.
std::string BytesToAlphabet(std::string_view bytes);
/// The byte of a character of the alphabet, or none.
std::optional<unsigned char> AlphabetToByte(std::uint32_t code_point);

}  // namespace bitsweep::engine
