// The footers of a table: units, what the marks compare with, what the figures rest on. Internal to
// this room. Pure free functions: any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "coordinator/study/sweep_spec.h"
#include "coordinator/study/tables.h"

namespace bitsweep {

// The state of a figure that the sweep file excludes; such a cell does not exist.
inline constexpr std::string_view kExcludedState = "excluded";

/// The unit that all sizes of a table are shown in: "GB" (10^9 bytes) when the largest has one,
/// else "MB" (10^6 bytes).
struct SizeUnit {
  std::string_view name;
  double bytes;
};
SizeUnit UnitOf(const Table& table);

/// "python" -> "Python".
std::string LanguageTitle(const std::string& language);

/// REQUIRES: the rows of `table` are complete.
std::vector<std::string> TableNotes(const SweepSpec& spec,
                                    const QuestionSpec& question,
                                    const Table& table);

}  // namespace bitsweep
