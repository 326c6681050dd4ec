// A Table as a section of a page, and the page around such sections.
#include <fmt/format.h>

#include <absl/strings/str_cat.h>

#include "coordinator/study/table_grid.h"
#include "coordinator/study/tables.h"

namespace bitsweep {
namespace {

std::string Escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        // Other control characters are no characters of a page.
        out += static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t' ? ' ' : c;
    }
  }
  return out;
}

/// Signs mean nothing to a reader who listens.
std::string ArrowSpan(Arrow arrow) {
  const std::string_view words = arrow == Arrow::kUp     ? "higher than the reference"
                                 : arrow == Arrow::kDown ? "lower than the reference"
                                                         : "equal to the reference";
  return fmt::format(R"( <span class="{0}" role="img" aria-label="{1}" title="{1}">{2}</span>)",
                     ToString(arrow),
                     words,
                     ArrowSign(arrow));
}

/// `key`: of the column that stays in view while the others scroll.
std::string ClassOf(const GridCell& cell, bool right, bool key) {
  std::string classes = right ? "number" : key ? "key" : "";
  const auto add = [&](const char* name) {
    absl::StrAppend(&classes, classes.empty() ? "" : " ", name);
  };
  if (cell.kind == GridCell::Kind::kWaiting) {
    add("waiting");
  } else if (cell.kind == GridCell::Kind::kFailed) {
    add("failed");
  }
  return classes.empty() ? "" : absl::StrCat(" class=\"", classes, "\"");
}

std::string CellContent(const GridCell& cell) {
  std::string text = Escape(cell.text);
  if (cell.best) {
    text = absl::StrCat("<strong title=\"best of its group\">", text, "</strong>");
  }
  if (!cell.interval.empty()) {
    absl::StrAppend(&text, " <span class=\"interval\">", Escape(cell.interval), "</span>");
  }
  if (cell.arrow) {
    text += ArrowSpan(*cell.arrow);
  }
  return text;
}

std::string RowHtml(const TableGrid& grid, const GridRow& row) {
  std::string text = "<tr>";
  for (std::size_t i = 0; i < row.cells.size(); ++i) {
    const GridColumn& column = grid.columns[i];
    const std::string content = CellContent(row.cells[i]);
    const std::string classes = ClassOf(row.cells[i], column.right, i == kBlockColumns);
    if (i < kBlockColumns) {
      if (row.opens_block) {
        text += fmt::format(
            R"(<th scope="rowgroup" rowspan="{}"{}>{}</th>)", row.block_rows, classes, content);
      }
    } else if (column.header) {
      text += fmt::format(R"(<th scope="row"{}>{}</th>)", classes, content);
    } else {
      text += fmt::format("<td{}>{}</td>", classes, content);
    }
  }
  return text + "</tr>\n";
}

// Colours keep a contrast of at least 4.5 to 1 on both grounds. The table scrolls within its own
// box; its caption and, on a phone, the column that names the row stay in view.
constexpr std::string_view kStyle = R"css(
:root { color-scheme: light dark; --ink: #1b1f24; --ground: #ffffff; --soft: #57606a;
  --line: #d0d7de;
  --head: #f3f5f7; --up: #116329; --down: #a40e26; --wait: #7a4d00; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ed; --ground: #14171b; --soft: #a3acb7; --line: #3a424c; --head: #20252b;
    --up: #5fd07a; --down: #ff8d8d; --wait: #e8b95c; }
}
body { margin: 0 auto; max-width: 72rem; padding: 1rem; color: var(--ink);
  background: var(--ground);
  font: 1rem/1.45 system-ui, sans-serif; }
h1 { font-size: 1.4rem; margin: 0 0 1rem; overflow-wrap: anywhere; }
.bitsweep-table { margin: 0 0 2.5rem; }
.bitsweep-table .scroll { overflow-x: auto; }
.bitsweep-table .scroll:focus-visible { outline: 2px solid currentColor; outline-offset: 2px; }
.bitsweep-table table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.bitsweep-table caption { text-align: left; padding: 0 0 .5rem; }
.bitsweep-table caption span { display: inline-block; position: sticky; left: 0; font-weight: 600;
  max-width: calc(100vw - 2rem); overflow-wrap: anywhere; }
.bitsweep-table th, .bitsweep-table td { padding: .3rem .7rem; text-align: left;
  vertical-align: top;
  white-space: nowrap; }
.bitsweep-table th { font-weight: normal; }
.bitsweep-table thead th { font-weight: 600; background: var(--head); }
.bitsweep-table thead th, .bitsweep-table tbody { border-bottom: 1px solid var(--line); }
.bitsweep-table .number { text-align: right; }
.bitsweep-table .interval { color: var(--soft); font-size: .85em; }
.bitsweep-table .up { color: var(--up); }
.bitsweep-table .down { color: var(--down); }
.bitsweep-table .tie { color: var(--soft); }
.bitsweep-table .waiting { color: var(--wait); font-style: italic; }
.bitsweep-table .failed { color: var(--down); font-weight: 600; }
.bitsweep-table .notes { color: var(--soft); font-size: .875rem; margin: .75rem 0 0;
  padding-left: 1.2rem;
  max-width: 60rem; overflow-wrap: anywhere; }
@media (max-width: 40rem) {
  .bitsweep-table th, .bitsweep-table td { padding: .3rem .45rem; }
  .bitsweep-table th[scope=rowgroup] { white-space: normal; max-width: 9rem; }
  .bitsweep-table .key { position: sticky; left: 0; }
  .bitsweep-table tbody .key { background: var(--ground); }
}
@media print { .bitsweep-table .scroll { overflow: visible;
  } .bitsweep-table { break-inside: avoid; } }
)css";

}  // namespace

std::string RenderHtml(const Table& table) {
  const TableGrid grid = MakeGrid(table);
  const std::string id = absl::StrCat("table:", AnchorOf(table));
  std::string text = fmt::format(
      "<section class=\"bitsweep-table\">\n<div class=\"scroll\" role=\"region\" "
      "aria-labelledby=\"{0}\" tabindex=\"0\">\n<table>\n<caption><span id=\"{0}\">{1} on {2}: "
      "{3}. "
      "pass@1 in percent.</span></caption>\n<thead>\n<tr>",
      id,
      Escape(table.question),
      Escape(table.benchmark),
      Escape(TitleOf(table)));
  for (std::size_t i = 0; i < grid.columns.size(); ++i) {
    const GridColumn& column = grid.columns[i];
    text += fmt::format("<th scope=\"col\"{}>{}</th>",
                        ClassOf(GridCell(), column.right, i == kBlockColumns),
                        Escape(column.title));
  }
  text += "</tr>\n</thead>\n";
  for (const GridRow& row : grid.rows) {
    if (row.opens_block) {
      text += &row == &grid.rows.front() ? "<tbody>\n" : "</tbody>\n<tbody>\n";
    }
    text += RowHtml(grid, row);
  }
  absl::StrAppend(&text, grid.rows.empty() ? "" : "</tbody>\n", "</table>\n</div>\n");
  if (!table.notes.empty()) {
    text += "<ul class=\"notes\">\n";
    for (const std::string& note : table.notes) {
      absl::StrAppend(&text, "<li>", Escape(note), "</li>\n");
    }
    text += "</ul>\n";
  }
  return text + "</section>\n";
}

std::string HtmlPage(std::string_view title, const std::vector<std::string>& sections) {
  std::string text = absl::StrCat(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      // No icon, said aloud: a browser would ask for one.
      "<link rel=\"icon\" href=\"data:,\">\n<title>",
      Escape(title),
      "</title>\n<style>",
      std::string(kStyle),
      "</style>\n</head>\n<body>\n<main>\n<h1>",
      Escape(title),
      "</h1>\n");
  for (const std::string& section : sections) {
    text += section;
  }
  return text + "</main>\n</body>\n</html>\n";
}

}  // namespace bitsweep
