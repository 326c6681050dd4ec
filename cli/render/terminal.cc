#include "cli/render/terminal.h"

#include <cstdlib>
#include <string_view>
#include <sys/ioctl.h>
#include <unistd.h>

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>

namespace bitsweep::cli {
namespace {

// The first of these that is set and not empty decides the character set (POSIX, locale
// categories).
bool LocaleIsUtf8(const ReadVariable& variable) {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const std::string value = absl::AsciiStrToLower(variable(name).value_or(""));
    if (!value.empty()) {
      return absl::StrContains(value, "utf-8") || absl::StrContains(value, "utf8");
    }
  }
  return false;
}

}  // namespace

Terminal InspectTerminal(int fd, const ReadVariable& variable) {
  Terminal terminal;
  const std::string kind = variable("TERM").value_or("");
  terminal.unicode = LocaleIsUtf8(variable);
  int columns = 0;
  if (absl::SimpleAtoi(variable("COLUMNS").value_or(""), &columns) && columns >= 20) {
    terminal.columns = columns;
  }
  if (isatty(fd) == 0) {
    return terminal;
  }
  winsize size{};
  if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    terminal.columns = size.ws_col;
    terminal.rows = size.ws_row > 0 ? size.ws_row : terminal.rows;
  }
  terminal.live = !kind.empty() && kind != "dumb";
  terminal.colour = terminal.live && variable("NO_COLOR").value_or("").empty();
  return terminal;
}

}  // namespace bitsweep::cli
