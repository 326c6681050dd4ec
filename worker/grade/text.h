// Small text functions over std::string_view. Debian's absl is built with a string_view of its own,
// so absl's string functions do not take std::string_view; these do. Thread rule: free functions
// without state; any thread.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace bitsweep::grade {

/// The pieces of `text` between `separator`s, empty ones included; at most `pieces_max` of them.
inline std::vector<std::string_view> Split(std::string_view text,
                                           char separator,
                                           std::size_t pieces_max = std::string_view::npos) {
  std::vector<std::string_view> pieces;
  while (pieces.size() + 1 < pieces_max) {
    const std::size_t end = text.find(separator);
    if (end == std::string_view::npos) {
      break;
    }
    pieces.push_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  pieces.push_back(text);
  return pieces;
}

/// `text` without blanks and newlines at both ends.
inline std::string_view Trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n\v\f";
  const std::size_t begin = text.find_first_not_of(kBlank);
  return begin == std::string_view::npos
             ? std::string_view()
             : text.substr(begin, text.find_last_not_of(kBlank) + 1 - begin);
}

namespace internal {
inline void AppendTo(std::string* out, std::string_view text) {
  out->append(text);
}
template <typename Number>
std::enable_if_t<std::is_arithmetic_v<Number>> AppendTo(std::string* out, Number number) {
  out->append(std::to_string(number));
}
}  // namespace internal

/// Texts and numbers, one after the other.
template <typename... Parts>
std::string Cat(const Parts&... parts) {
  std::string out;
  (internal::AppendTo(&out, parts), ...);
  return out;
}

}  // namespace bitsweep::grade
