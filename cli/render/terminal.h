// What the place that we write to can show: width, colour, redrawing, Unicode. Decided once, at the
// start. Plain values: any thread.
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace bitsweep::cli {

using ReadVariable = std::function<std::optional<std::string>(const char*)>;

struct Terminal {
  bool live = false;     // A terminal that can redraw: progress bars and the watch view.
  bool colour = false;   // live, and NO_COLOR is unset and TERM is not "dumb".
  bool unicode = false;  // The locale's character set is UTF-8.
  int columns = 80;
  int rows = 24;
};

/// What file descriptor `fd` is. Where it is no terminal, `columns` is COLUMNS or 80 and nothing is
/// live.
Terminal InspectTerminal(int fd, const ReadVariable& variable);

}  // namespace bitsweep::cli
