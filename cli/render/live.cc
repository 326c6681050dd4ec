#include "cli/render/live.h"

#include <algorithm>

#include <absl/strings/str_cat.h>

namespace bitsweep::cli {

void LiveBlock::Draw(const std::vector<Line>& lines, const Terminal& terminal) {
  std::string frame = active_ ? "" : "\x1b[?25l";
  active_ = true;
  // A terminal that became narrower has wrapped what was drawn.
  int up = 0;
  for (const int width : drawn_widths_) {
    up += std::max(1, (width + terminal.columns - 1) / terminal.columns);
  }
  if (up > 0) {
    absl::StrAppend(&frame, "\x1b[", up, "A");
  }
  frame += "\r";
  const auto count =
      std::min(lines.size(), static_cast<std::size_t>(std::max(1, terminal.rows - 1)));
  drawn_widths_.clear();
  for (std::size_t i = 0; i < count; ++i) {
    // The last column stays free: writing into it makes some terminals wrap early.
    const int columns = std::max(1, terminal.columns - 1);
    absl::StrAppend(&frame, lines[i].Render(terminal, columns), "\x1b[K\n");
    drawn_widths_.push_back(std::min(lines[i].width(), columns));
  }
  frame += "\x1b[J";
  out_ << frame << std::flush;
}

void LiveBlock::Finish() {
  if (active_) {
    out_ << "\x1b[?25h" << std::flush;
    active_ = false;
    drawn_widths_.clear();
  }
}

}  // namespace bitsweep::cli
