// Stop strings: a completion ends where the first of them begins. MultiPL-E's Java stops at "\n
// }\n", its Python at
// "\ndef", "\n#", "\nif", "\nclass"; McEval's Java has none.
// Thread rule: FindStop and CutAtStop are free of state; a StopSearch belongs to one sequence and
// one thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace bitsweep::benchmark {

/// Position of the earliest occurrence of any stop string in `text` that begins at or after `from`;
/// npos when none does. Empty stop strings never match.
std::size_t FindStop(std::string_view text,
                     const std::vector<std::string>& stop_tokens,
                     std::size_t from = 0);

/// `text` up to the earliest stop string, or all of it. The result is a view into `text`.
std::string_view CutAtStop(std::string_view text, const std::vector<std::string>& stop_tokens);

/// FindStop for a text that grows: each byte is looked at a bounded number of times however small
/// the steps are.
class StopSearch {
 public:
  explicit StopSearch(std::vector<std::string> stop_tokens);

  /// `text` is the whole text so far. Bytes before the length given last time must not have
  /// changed, except for the `unstable` last ones (the tail of a text whose last token may decode
  /// otherwise once more tokens follow). Returns the position where the text is to be cut, or npos.
  /// Once found, the same position is returned for ever.
  std::size_t Find(std::string_view text, std::size_t unstable = 0);

 private:
  std::vector<std::string> stop_tokens_;
  std::size_t longest_ = 0;
  std::size_t searched_ = 0;  // No stop string begins before this position.
  std::size_t found_ = std::string_view::npos;
};

}  // namespace bitsweep::benchmark
