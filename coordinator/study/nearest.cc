#include "coordinator/study/nearest.h"

#include <algorithm>

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

namespace bitsweep {

int EditDistance(std::string_view a, std::string_view b) {
  const std::size_t columns = b.size() + 1;
  std::vector<int> before(columns), previous(columns), current(columns);
  for (std::size_t j = 0; j < columns; ++j) {
    previous[j] = static_cast<int>(j);
  }
  for (std::size_t i = 1; i <= a.size(); ++i) {
    current[0] = static_cast<int>(i);
    for (std::size_t j = 1; j < columns; ++j) {
      const int substituted = previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      current[j] = std::min({previous[j] + 1, current[j - 1] + 1, substituted});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        current[j] = std::min(current[j], before[j - 2] + 1);
      }
    }
    before.swap(previous);
    previous.swap(current);
  }
  return previous[columns - 1];
}

std::string Nearest(std::string_view name, const std::vector<std::string>& candidates) {
  // Names longer than this are not slips of the finger, and the distance is quadratic.
  constexpr std::size_t kNameLengthMax = 200;
  if (name.empty() || name.size() > kNameLengthMax) {
    return "";
  }
  const std::string lower = absl::AsciiStrToLower(std::string(name));
  std::string best;
  int best_distance = 0;
  for (const std::string& candidate : candidates) {
    const std::string other = absl::AsciiStrToLower(candidate);
    const int longest = static_cast<int>(std::max(lower.size(), other.size()));
    int distance = EditDistance(lower, other);
    const bool beginning = std::min(lower.size(), other.size()) >= 3 &&
                           (absl::StartsWith(lower, other) || absl::StartsWith(other, lower));
    if (distance > std::max(1, longest / 3)) {
      if (!beginning) {
        continue;
      }
      distance = longest;  // Helpful, but any real near miss is better.
    }
    if (best.empty() || distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

std::string AllowedText(std::string_view name, const std::vector<std::string>& candidates) {
  constexpr std::size_t kListed = 24;
  if (candidates.empty()) {
    return "";
  }
  const std::vector<std::string> shown(
      candidates.begin(),
      candidates.begin() + static_cast<std::ptrdiff_t>(std::min(kListed, candidates.size())));
  std::string text = absl::StrCat("; allowed: ", absl::StrJoin(shown, ", "));
  if (candidates.size() > kListed) {
    absl::StrAppend(&text, " and ", candidates.size() - kListed, " more");
  }
  if (const std::string nearest = Nearest(name, candidates); !nearest.empty()) {
    absl::StrAppend(&text, "; did you mean '", nearest, "'?");
  }
  return text;
}

}  // namespace bitsweep
