#include "worker/benchmark/python_scan.h"

#include <algorithm>
#include <cctype>

namespace bitsweep::benchmark {
namespace {

// f-strings may nest (PEP 701). Deeper than this no program nests; a hostile text must not exhaust
// the stack.
constexpr int kNestedStringsMax = 32;

bool IsNameByte(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' ||
         (static_cast<unsigned char>(c) & 0x80U) != 0;
}

bool IsStringPrefix(std::string_view name) {
  return name.size() <= 2 && std::all_of(name.begin(), name.end(), [](char c) {
           return std::string_view("rRbBuUfF").find(c) != std::string_view::npos;
         });
}

/// Walks over one piece of text. `at` is always the next byte to look at.
class PythonScanner {
 public:
  explicit PythonScanner(std::string_view text) : text_(text) {}

  std::vector<PythonLine> Lines() {
    std::vector<PythonLine> lines;
    while (at_ < text_.size()) {
      const std::size_t indent = SkipIndent();
      if (AtEnd() || text_[at_] == '\n') {
        ++at_;
      } else if (text_[at_] == '#') {
        SkipComment();
      } else {
        lines.push_back(LogicalLine(indent));
      }
    }
    return lines;
  }

 private:
  bool AtEnd() const { return at_ >= text_.size(); }

  std::size_t SkipIndent() {
    std::size_t column = 0;
    for (; !AtEnd(); ++at_) {
      const char c = text_[at_];
      if (c == ' ') {
        ++column;
      } else if (c == '\t') {
        column = (column / 8 + 1) * 8;
      } else if (c == '\f') {
        column = 0;
      } else if (c != '\r') {
        break;
      }
    }
    return column;
  }

  void SkipComment() { at_ = std::min(text_.find('\n', at_), text_.size()); }

  PythonLine LogicalLine(std::size_t indent) {
    PythonLine line{.begin = at_, .end = at_, .indent = indent, .closed = true};
    std::size_t brackets = 0;
    bool string_open = false;
    while (!AtEnd() && !string_open) {
      const char c = text_[at_];
      if (c == '\n') {
        ++at_;
        if (brackets == 0) {
          break;
        }
      } else if (c == '#') {
        SkipComment();
      } else if (c == '\\') {
        // Joins the next line; a backslash before anything else is an error that the compiler will
        // find.
        at_ += text_.substr(at_, 3) == "\\\r\n" ? 3 : 2;
      } else if (std::isspace(static_cast<unsigned char>(c)) != 0) {
        ++at_;
      } else {
        string_open = !Token(&brackets);
        line.end = at_;
      }
    }
    at_ = std::min(at_, text_.size());
    line.end = std::min(line.end, text_.size());
    line.closed = brackets == 0 && !string_open;
    return line;
  }

  /// One token. False when it is a string that is open at the end of the text.
  bool Token(std::size_t* brackets) {
    const char c = text_[at_];
    if (c == '"' || c == '\'') {
      return SkipString(false, 0);
    }
    if (IsNameByte(c)) {
      return NameOrString(0);
    }
    if (c == '(' || c == '[' || c == '{') {
      ++*brackets;
    } else if ((c == ')' || c == ']' || c == '}') && *brackets > 0) {
      --*brackets;
    }
    ++at_;
    return true;
  }

  /// A name or number, or, where it is a string's prefix, the string.
  bool NameOrString(int depth) {
    const std::size_t begin = at_;
    while (!AtEnd() && IsNameByte(text_[at_])) {
      ++at_;
    }
    const std::string_view name = text_.substr(begin, at_ - begin);
    if (AtEnd() || (text_[at_] != '"' && text_[at_] != '\'') || !IsStringPrefix(name)) {
      return true;
    }
    return SkipString(name.find_first_of("fF") != std::string_view::npos, depth);
  }

  /// `at` is on the opening quote. A string in single quotes that is not closed on its line ends
  /// there (the compiler will complain; here the lines after it must not be lost). False when the
  /// text ends inside the string.
  bool SkipString(bool formatted, int depth) {
    const char quote = text_[at_];
    const std::string_view triple = text_.substr(at_, 3);
    const bool is_triple = triple.size() == 3 && triple[1] == quote && triple[2] == quote;
    at_ += is_triple ? 3 : 1;
    while (!AtEnd()) {
      const char c = text_[at_];
      if (c == '\\') {
        at_ += text_.substr(at_, 3) == "\\\r\n" ? 3 : 2;
      } else if (c == quote && (!is_triple || text_.substr(at_, 3) == triple)) {
        at_ += is_triple ? 3 : 1;
        return true;
      } else if (c == '\n' && !is_triple) {
        return true;
      } else if (c == '{' && formatted && depth < kNestedStringsMax) {
        if (text_.substr(at_, 2) == "{{") {
          at_ += 2;
        } else if (!SkipField(quote, is_triple, depth)) {
          return false;
        }
      } else {
        ++at_;
      }
    }
    return false;
  }

  /// A replacement field of an f-string; `at` is on its brace. Ends after the closing brace, or,
  /// where the field is malformed, on the newline that ends a string in single quotes.
  bool SkipField(char quote, bool is_triple, int depth) {
    std::size_t brackets = 1;
    bool in_spec = false;
    ++at_;
    while (!AtEnd() && brackets > 0) {
      const char c = text_[at_];
      if (c == '\n' && !is_triple) {
        return true;
      }
      if (in_spec && c == quote) {
        return true;  // An unclosed field: the quote ends the string.
      }
      if (!in_spec && (c == '"' || c == '\'')) {
        if (!SkipString(false, depth + 1)) {
          return false;
        }
        continue;
      }
      if (!in_spec && IsNameByte(c)) {
        if (!NameOrString(depth + 1)) {
          return false;
        }
        continue;
      }
      if (c == '{' || (!in_spec && (c == '(' || c == '['))) {
        // Inside a format spec a brace opens a field of its own.
        if (in_spec) {
          if (depth + 1 >= kNestedStringsMax) {
            return true;
          }
          if (!SkipField(quote, is_triple, depth + 1)) {
            return false;
          }
          continue;
        }
        ++brackets;
      } else if (c == '}' || (!in_spec && (c == ')' || c == ']'))) {
        --brackets;
      } else if (c == ':' && brackets == 1) {
        in_spec = true;
      }
      ++at_;
    }
    return brackets == 0;
  }

  const std::string_view text_;
  std::size_t at_ = 0;
};

/// The first word of `line`, and `*rest` what follows it and its blanks.
std::string_view FirstWord(std::string_view line, std::string_view* rest) {
  std::size_t end = 0;
  while (end < line.size() && IsNameByte(line[end])) {
    ++end;
  }
  const std::size_t next = std::min(line.find_first_not_of(" \t\\\r\n", end), line.size());
  *rest = line.substr(next);
  return line.substr(0, end);
}

}  // namespace

std::vector<PythonLine> ScanPython(std::string_view text) {
  return PythonScanner(text).Lines();
}

bool IsPythonFunction(std::string_view line) {
  std::string_view rest;
  std::string_view word = FirstWord(line, &rest);
  if (word == "async") {
    word = FirstWord(rest, &rest);
  }
  // A name must follow: `def` alone may be the beginning of a longer word that is still being
  // written.
  return word == "def" && !rest.empty() && IsNameByte(rest.front());
}

}  // namespace bitsweep::benchmark
