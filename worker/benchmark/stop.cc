#include "worker/benchmark/stop.h"

#include <algorithm>
#include <utility>

namespace bitsweep::benchmark {

std::size_t FindStop(std::string_view text,
                     const std::vector<std::string>& stop_tokens,
                     std::size_t from) {
  std::size_t earliest = std::string_view::npos;
  for (const std::string& stop : stop_tokens) {
    if (!stop.empty()) {
      earliest = std::min(earliest, text.find(stop, from));
    }
  }
  return earliest;
}

std::string_view CutAtStop(std::string_view text, const std::vector<std::string>& stop_tokens) {
  return text.substr(0, FindStop(text, stop_tokens));
}

StopSearch::StopSearch(std::vector<std::string> stop_tokens)
    : stop_tokens_(std::move(stop_tokens)) {
  for (const std::string& stop : stop_tokens_) {
    longest_ = std::max(longest_, stop.size());
  }
}

std::size_t StopSearch::Find(std::string_view text, std::size_t unstable) {
  if (found_ != std::string_view::npos) {
    return found_;
  }
  // The unstable tail takes no part: a match that lies in it might be gone with the next token.
  const std::string_view stable = text.substr(0, text.size() - std::min(unstable, text.size()));
  found_ = FindStop(stable, stop_tokens_, std::min(searched_, stable.size()));
  // A stop string may begin in the last longest_ - 1 bytes and end in what is still to come.
  if (stable.size() + 1 > longest_) {
    searched_ = std::max(searched_, stable.size() + 1 - longest_);
  }
  return found_;
}

}  // namespace bitsweep::benchmark
