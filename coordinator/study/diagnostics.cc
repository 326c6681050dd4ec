#include "coordinator/study/diagnostics.h"

#include <algorithm>

#include <absl/strings/str_cat.h>

#include "coordinator/study/sweep_spec.h"

namespace bitsweep {

void Diagnostics::Add(int line, std::string message) {
  std::pair<int, std::string> entry{line, std::move(message)};
  if (std::find(entries_.begin(), entries_.end(), entry) == entries_.end()) {
    entries_.push_back(std::move(entry));
  }
}

absl::Status Diagnostics::ToStatus() const {
  if (entries_.empty()) {
    return absl::OkStatus();
  }
  auto sorted = entries_;
  std::stable_sort(
      sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string text;
  for (std::size_t i = 0; i < sorted.size() && i < std::size_t{kSweepErrorsMax}; ++i) {
    const auto& [line, message] = sorted[i];
    absl::StrAppend(&text,
                    text.empty() ? "" : "\n",
                    file_name_,
                    line > 0 ? absl::StrCat(":", line) : "",
                    ": ",
                    message);
  }
  if (sorted.size() > std::size_t{kSweepErrorsMax}) {
    absl::StrAppend(
        &text, "\n", file_name_, ": and ", sorted.size() - kSweepErrorsMax, " more mistakes");
  }
  return absl::InvalidArgumentError(text);
}

}  // namespace bitsweep
