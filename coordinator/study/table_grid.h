// A table as words in columns: what Markdown, LaTeX and HTML have in common, so that they show the
// same figures and differ in signs only. Internal to this room. Plain values and free functions:
// any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "coordinator/study/tables.h"

namespace bitsweep {

struct GridCell {
  enum class Kind {
    kText,     // Coordinates, sizes, Dec (%).
    kFigure,   // A pass@1, with its marks.
    kWaiting,  // What the cell says instead of a figure: "running 3/5".
    kFailed,   // "failed: bad_input", "cancelled"
  };
  Kind kind = Kind::kText;
  std::string text;
  std::string interval;  // "[26.0, 33.7]"; empty: none.
  std::optional<Arrow> arrow;
  bool best = false;
};

struct GridColumn {
  std::string title;
  bool right = false;   // Numbers are flush right.
  bool header = false;  // Its cells say what the row is.
};

struct GridRow {
  std::vector<GridCell> cells;
  bool opens_block = false;  // The first of its model's rows.
  int block_rows = 0;        // With `opens_block`: how many rows the model has from here.
};

struct TableGrid {
  std::vector<GridColumn> columns;
  std::vector<GridRow> rows;
};

// The first columns, equal in all rows of a block.
inline constexpr std::size_t kBlockColumns = 2;

TableGrid MakeGrid(const Table& table);

/// What the kind of question compares: "quantization against fp16".
std::string TitleOf(const Table& table);

/// "rq1:multipl-e", of letters, digits, '-' and '_': one name for one table, for labels and ids.
/// Other bytes are spelt as '_' and two digits.
std::string AnchorOf(const Table& table);

}  // namespace bitsweep
