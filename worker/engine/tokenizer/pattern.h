// A literal or regular expression of tokenizer.json ({"String": ...} or {"Regex": ...}) and the two
// things that are done with one: replacing its matches and splitting at them. Regular expressions
// are PCRE2's with Unicode properties. Thread rule: immutable after construction, any thread.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "worker/engine/tokenizer/json_part.h"

namespace bitsweep::engine {

/// Byte range [begin, end) of a text.
struct Span {
  std::size_t begin;
  std::size_t end;
};

class Pattern {
 public:
  static Pattern Literal(std::string text);
  /// `part` is where the expression stands; it is refused there when PCRE2 does not take it.
  static Pattern Regex(const std::string& expression, const JsonPart& part);
  /// For expressions of our own.
  static Pattern Regex(const std::string& expression);
  /// {"String": s} or {"Regex": s}
  static Pattern FromJson(const JsonPart& part);

  /// Every match from left to right, not overlapping. REQUIRES: `text` is valid UTF-8.
  std::vector<Span> FindAll(std::string_view text) const;
  /// Every match replaced by `content`, taken literally.
  std::string Replace(std::string_view text, std::string_view content) const;

 private:
  struct Compiled;
  std::string literal_;
  std::shared_ptr<const Compiled> regex_;  // Shared by copies of the pattern; null for a literal.
};

/// What becomes of the matches when a text is split at them (the `behavior` of Split).
enum class SplitBehavior {
  kRemoved,
  kIsolated,
  kMergedWithPrevious,
  kMergedWithNext,
  kContiguous,
};

/// Splits `text` at the matches, or, inverted, at what lies between them. No span is empty.
std::vector<Span> Split(std::string_view text,
                        const Pattern& pattern,
                        SplitBehavior behavior,
                        bool invert);

}  // namespace bitsweep::engine
