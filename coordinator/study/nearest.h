// The nearest right spelling of a wrong name, for messages. Free functions: any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bitsweep {

/// Insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b` (optimal
/// string alignment).
int EditDistance(std::string_view a, std::string_view b);

/// The candidate that `name` was most likely meant to be, or "" when none is near enough to be a
/// help: case aside, at most a third of its letters differ, or one is the other's beginning.
std::string Nearest(std::string_view name, const std::vector<std::string>& candidates);

/// "; allowed: a, b, c" and, where there is one, "; did you mean 'b'?". Long lists are cut short.
std::string AllowedText(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace bitsweep
