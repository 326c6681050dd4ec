#include "cli/render/table.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include "proto/base/status_macros.h"

namespace bitsweep::cli {
namespace {

constexpr int kGap = 2;
// A column is never cut below this: three letters and an ellipsis say nothing.
constexpr int kShrunkWidthMin = 10;

}  // namespace

void Table::AddRow(std::vector<Line> cells) {
  BITSWEEP_CHECK(cells.size() == columns_.size())
      << cells.size() << " cells, " << columns_.size() << " columns";
  rows_.push_back(std::move(cells));
}

std::vector<Line> Table::Render(const Terminal& terminal, int indent) const {
  std::vector<int> widths;
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    int width = DisplayWidth(columns_[c].title);
    for (const auto& row : rows_) {
      width = std::max(width, row[c].width());
    }
    widths.push_back(width);
  }
  const int gaps = kGap * (static_cast<int>(widths.size()) - 1) + indent;
  int excess = std::accumulate(widths.begin(), widths.end(), 0) + gaps - terminal.columns;
  // The column to cut next: of the highest rank that still gives way, the widest.
  const auto next = [&]() -> std::optional<std::size_t> {
    std::optional<std::size_t> best;
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      if (columns_[c].shrinks > 0 && widths[c] > kShrunkWidthMin &&
          (!best || std::pair(columns_[c].shrinks, widths[c]) >
                        std::pair(columns_[*best].shrinks, widths[*best]))) {
        best = c;
      }
    }
    return best;
  };
  while (terminal.live && excess > 0) {
    const std::optional<std::size_t> cut = next();
    if (!cut) {
      break;
    }
    --widths[*cut];
    --excess;
  }
  std::vector<Line> lines;
  const auto add = [&](const auto& cell_of) {
    Line line;
    line.PadTo(indent);
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      Line cell = cell_of(c);
      const int blank = std::max(0, widths[c] - cell.width());
      if (columns_[c].align == Align::kRight) {
        line.Add(std::string(static_cast<std::size_t>(blank), ' '));
      }
      line.Append(cell);
      const bool last = c + 1 == columns_.size();
      if (!last) {
        const int after = kGap + (columns_[c].align == Align::kLeft ? blank : 0);
        line.Add(std::string(static_cast<std::size_t>(after), ' '));
      }
    }
    lines.push_back(std::move(line));
  };
  const auto fit = [&](const Line& cell, std::size_t c) {
    return cell.Fit(widths[c], terminal.unicode);
  };
  add([&](std::size_t c) { return Line(columns_[c].title, Style::kDim); });
  for (const auto& row : rows_) {
    add([&](std::size_t c) { return fit(row[c], c); });
  }
  return lines;
}

}  // namespace bitsweep::cli
