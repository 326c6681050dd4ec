#include "cli/render/styled.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace bitsweep::cli {
namespace {

struct CodePoint {
  char32_t value = 0;
  std::size_t bytes = 1;
};

CodePoint Decode(std::string_view text, std::size_t at) {
  const auto lead = static_cast<unsigned char>(text[at]);
  const std::size_t bytes = lead < 0x80    ? 1
                            : lead >= 0xF0 ? 4
                            : lead >= 0xE0 ? 3
                            : lead >= 0xC0 ? 2
                                           : 1;
  if (bytes == 1 || at + bytes > text.size()) {
    return {lead, 1};
  }
  char32_t value = lead & (0x7Fu >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    const auto next = static_cast<unsigned char>(text[at + i]);
    if ((next & 0xC0) != 0x80) {
      return {lead, 1};
    }
    value = (value << 6) | (next & 0x3Fu);
  }
  return {value, bytes};
}

// The ranges that occur in names and messages; the full Unicode table would be a library of its
// own.
int WidthOf(char32_t c) {
  if ((c >= 0x300 && c <= 0x36F) || (c >= 0x200B && c <= 0x200F) || (c >= 0xFE00 && c <= 0xFE0F)) {
    return 0;
  }
  const bool wide = (c >= 0x1100 && c <= 0x115F) || (c >= 0x2E80 && c <= 0xA4CF) ||
                    (c >= 0xAC00 && c <= 0xD7A3) || (c >= 0xF900 && c <= 0xFAFF) ||
                    (c >= 0xFE30 && c <= 0xFE6F) || (c >= 0xFF00 && c <= 0xFF60) ||
                    (c >= 0xFFE0 && c <= 0xFFE6) || (c >= 0x1F300 && c <= 0x1FAFF) ||
                    (c >= 0x20000 && c <= 0x3FFFD);
  return wide ? 2 : 1;
}

// The beginning of `text` that is at most `columns` wide.
std::string_view FirstColumns(std::string_view text, int columns) {
  std::size_t at = 0;
  while (at < text.size()) {
    const CodePoint c = Decode(text, at);
    columns -= WidthOf(c.value);
    if (columns < 0) {
      break;
    }
    at += c.bytes;
  }
  return text.substr(0, at);
}

std::string_view EscapeOf(Style style) {
  switch (style) {
    case Style::kPlain:
      return "";
    case Style::kBold:
      return "\x1b[1m";
    case Style::kDim:
      return "\x1b[2m";
    case Style::kGood:
      return "\x1b[32m";
    case Style::kBad:
      return "\x1b[31m";
    case Style::kWarn:
      return "\x1b[33m";
    case Style::kAccent:
      return "\x1b[36m";
  }
  return "";
}

// A control character in a message of somebody else's (a stage's log, a file name) must not steer
// the terminal.
std::string WithoutControls(std::string_view text) {
  std::string clean(text);
  for (char& c : clean) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      c = ' ';
    }
  }
  return clean;
}

}  // namespace

int DisplayWidth(std::string_view text) {
  int width = 0;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint c = Decode(text, at);
    width += WidthOf(c.value);
    at += c.bytes;
  }
  return width;
}

std::string Ellipsize(std::string_view text, int columns, bool unicode) {
  if (DisplayWidth(text) <= columns) {
    return std::string(text);
  }
  if (columns <= 0) {
    return "";
  }
  return std::string(FirstColumns(text, columns - 1)) + (unicode ? "…" : "~");
}

Line& Line::Add(std::string_view text, Style style) {
  if (!text.empty()) {
    spans_.push_back({WithoutControls(text), style});
  }
  return *this;
}

Line& Line::Append(const Line& other) {
  spans_.insert(spans_.end(), other.spans_.begin(), other.spans_.end());
  return *this;
}

Line& Line::PadTo(int columns) {
  const int missing = columns - width();
  return missing > 0 ? Add(std::string(static_cast<std::size_t>(missing), ' ')) : *this;
}

int Line::width() const {
  int width = 0;
  for (const Span& span : spans_) {
    width += DisplayWidth(span.text);
  }
  return width;
}

Line Line::Fit(int columns, bool unicode) const {
  if (width() <= columns) {
    return *this;
  }
  Line fitted;
  int left = columns;
  for (const Span& span : spans_) {
    const int wanted = DisplayWidth(span.text);
    if (wanted >= left) {
      // A span that only just fits still gives way to the ellipsis, because something follows it.
      return fitted.Add(Ellipsize(span.text + " ", left, unicode), span.style);
    }
    fitted.Add(span.text, span.style);
    left -= wanted;
  }
  return fitted;
}

std::string Line::Render(const Terminal& terminal, int columns) const {
  if (columns > 0 && width() > columns) {
    return Fit(columns, terminal.unicode).Render(terminal);
  }
  std::string out;
  for (const Span& span : spans_) {
    const std::string_view escape = terminal.colour ? EscapeOf(span.style) : "";
    out.append(escape).append(span.text).append(escape.empty() ? "" : "\x1b[0m");
  }
  return out;
}

Line Bar(double fraction, int columns, const Terminal& terminal, Style style) {
  const double clamped = std::isfinite(fraction) ? std::clamp(fraction, 0.0, 1.0) : 0.0;
  const int eighths = static_cast<int>(std::floor(clamped * columns * 8));
  const int full = eighths / 8;
  Line line;
  if (!terminal.unicode) {
    line.Add(std::string(static_cast<std::size_t>(full), '#'), style);
    return line.Add(std::string(static_cast<std::size_t>(columns - full), '.'), Style::kDim);
  }
  static constexpr const char* kPartial[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  std::string filled;
  for (int i = 0; i < full; ++i) {
    filled += "█";
  }
  filled += kPartial[eighths % 8];
  const int rest = columns - full - (eighths % 8 != 0 ? 1 : 0);
  std::string empty;
  for (int i = 0; i < rest; ++i) {
    empty += "░";
  }
  return line.Add(filled, style).Add(empty, Style::kDim);
}

}  // namespace bitsweep::cli
