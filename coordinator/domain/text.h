// Cat: absl::StrCat that also takes std::string_view. Why: distributions build abseil as C++14,
// where its string_view is a type of its own. Pure: any thread.
#pragma once

#include <concepts>
#include <string>
#include <string_view>

#include <absl/strings/str_cat.h>

namespace bitsweep {
namespace internal {

inline absl::string_view Piece(std::string_view text) {
  return {text.data(), text.size()};
}
template <typename Number>
requires std::integral<Number> || std::floating_point<Number> Number Piece(Number number) {
  return number;
}

}  // namespace internal

/// The parts, joined. Numbers are written as absl::StrCat writes them.
template <typename... Parts>
std::string Cat(const Parts&... parts) {
  return absl::StrCat(internal::Piece(parts)...);
}

}  // namespace bitsweep
