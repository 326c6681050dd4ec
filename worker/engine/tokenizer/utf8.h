// UTF-8 by hand: what the tokenizer needs of it. Thread rule: pure functions, any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bitsweep::engine {

/// Length in bytes of the character that begins with `lead` in valid UTF-8.
std::size_t Utf8Length(char lead);
/// Appends the UTF-8 form of a code point.
void AppendUtf8(std::uint32_t code_point, std::string* text);
/// The code point at `position` of valid UTF-8; `position` moves behind it.
std::uint32_t NextCodePoint(std::string_view text, std::size_t* position);
bool IsValidUtf8(std::string_view bytes);
/// Each maximal ill-formed subpart becomes one U+FFFD (Unicode 15, section 3.9; what Rust's
/// from_utf8_lossy does).
std::string LossyUtf8(std::string_view bytes);

}  // namespace bitsweep::engine
