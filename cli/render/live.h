// A block of lines at the bottom of a terminal that is redrawn in place: the cursor goes up, every
// line is overwritten and its rest cleared, all in one write, so that nothing flickers. The cursor
// is hidden meanwhile and always restored. Runs on: one thread.
#pragma once

#include <ostream>
#include <vector>

#include "cli/render/styled.h"

namespace bitsweep::cli {

class LiveBlock {
 public:
  explicit LiveBlock(std::ostream& out) : out_(out) {}
  /// Leaves the last drawing where it is and shows the cursor again.
  ~LiveBlock() { Finish(); }
  LiveBlock(const LiveBlock&) = delete;
  LiveBlock& operator=(const LiveBlock&) = delete;

  /// Lines beyond the terminal's height are left out at the end; wider ones are cut.
  void Draw(const std::vector<Line>& lines, const Terminal& terminal);
  void Finish();

 private:
  std::ostream& out_;
  std::vector<int>
      drawn_widths_;  // Of the lines on the screen, to find the top again after a resize.
  bool active_ = false;
};

}  // namespace bitsweep::cli
