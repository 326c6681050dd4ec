// A table of columns that fits the terminal: numbers flush right, the least important text gives
// way first. Not for the study's own tables: those are rendered by the coordinator, so that every
// client shows the same. Plain values: any thread.
#pragma once

#include <string>
#include <vector>

#include "cli/render/styled.h"

namespace bitsweep::cli {

enum class Align {
  kLeft,
  kRight
};

struct Column {
  std::string title;
  Align align = Align::kLeft;
  // Where the terminal is too narrow, columns of the highest rank are cut first, with an ellipsis;
  // those of rank 0 never are.
  int shrinks = 0;
};

class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  /// REQUIRES: as many cells as columns.
  void AddRow(std::vector<Line> cells);
  bool empty() const { return rows_.empty(); }
  /// The titles and every row. Not cut where `terminal` is no terminal: a pipe wants whole values.
  std::vector<Line> Render(const Terminal& terminal, int indent = 0) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Line>> rows_;
};

}  // namespace bitsweep::cli
