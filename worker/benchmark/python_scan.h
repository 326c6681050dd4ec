// Splits Python text into logical lines: what the function scanner needs of the language, and no
// more. Strings (every prefix, triple quotes, f-strings with nested quotes), comments, brackets and
// backslash continuations are understood. Thread rule: free functions without state; any thread.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace bitsweep::benchmark {

/// One logical line: a statement header or a simple statement, perhaps over several physical lines.
struct PythonLine {
  std::size_t begin = 0;   // Its first token.
  std::size_t end = 0;     // Just past its last token: no trailing blanks or comment.
  std::size_t indent = 0;  // Column of the first token; a tab goes to the next multiple of 8.
  bool closed =
      false;  // False for a last line whose string or bracket is open at the end of the text.
};

/// The logical lines of `text` in order; blank lines and comment lines make none.
std::vector<PythonLine> ScanPython(std::string_view text);

/// True when `line` (its text) begins a function: `def` or `async def`.
bool IsPythonFunction(std::string_view line);

}  // namespace bitsweep::benchmark
