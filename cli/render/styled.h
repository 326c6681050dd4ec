// A line of text with colours that knows its visible width, so that tables align and the live view
// never wraps. Why not plain strings with escape codes: their length is not what a reader sees.
// Plain values: any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/render/terminal.h"

namespace bitsweep::cli {

enum class Style {
  kPlain,
  kBold,
  kDim,
  kGood,
  kBad,
  kWarn,
  kAccent
};

/// Columns that `text` takes: one for each code point; combining marks and zero-width characters
/// take none, East Asian wide ones two. `text` is UTF-8; a stray byte counts one.
int DisplayWidth(std::string_view text);

/// The longest beginning of `text` that fits `columns`, ending in "…" ("~" without Unicode) where
/// something was cut.
std::string Ellipsize(std::string_view text, int columns, bool unicode);

class Line {
 public:
  Line() = default;
  Line(std::string_view text, Style style = Style::kPlain) {
    Add(text, style);
  }                                             // NOLINT: reads as text
  Line(const char* text) { Add(text); }         // NOLINT: reads as text
  Line(const std::string& text) { Add(text); }  // NOLINT: reads as text

  Line& Add(std::string_view text, Style style = Style::kPlain);
  Line& Append(const Line& other);
  /// The same line, cut to `columns` with an ellipsis where it is wider.
  Line Fit(int columns, bool unicode) const;
  /// Adds blanks until the line is `columns` wide. A wider line stays as it is.
  Line& PadTo(int columns);

  int width() const;
  bool empty() const { return spans_.empty(); }
  /// Text for `terminal`: with escape codes only where it has colour, cut to `columns` (0: not
  /// cut).
  std::string Render(const Terminal& terminal, int columns = 0) const;

 private:
  struct Span {
    std::string text;
    Style style;
  };
  std::vector<Span> spans_;
};

/// A bar of `columns` cells for `fraction` (clamped to [0, 1]), with eighths of a cell where
/// Unicode is available.
Line Bar(double fraction, int columns, const Terminal& terminal, Style style = Style::kAccent);

}  // namespace bitsweep::cli
