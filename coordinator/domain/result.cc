#include "coordinator/domain/result.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string_view>
#include <utility>

#include "coordinator/domain/text.h"

namespace bitsweep {
namespace {

constexpr std::size_t kDigestDigits = 64;

bool IsDigest(std::string_view text) {
  return text.size() == kDigestDigits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

/// Relative, '/'-separated, every part a real name.
bool IsFileName(std::string_view name) {
  while (true) {
    const std::size_t slash = name.find('/');
    const std::string_view part = name.substr(0, slash);
    if (part.empty() || part == "." || part == "..") {
      return false;
    }
    if (slash == std::string_view::npos) {
      return true;
    }
    name.remove_prefix(slash + 1);
  }
}

}  // namespace

absl::Status CheckResult(const ArtifactManifest& artifact,
                         const std::vector<VerdictRow>& verdicts) {
  std::set<std::string_view> names;
  for (const ArtifactFile& file : artifact.files) {
    if (!IsFileName(file.name) || !names.insert(file.name).second) {
      return absl::InvalidArgumentError(
          Cat("the result has a file named \"", file.name, "\" (twice, or not a relative name)"));
    }
    if (file.size < 0 || !IsDigest(file.digest.value())) {
      return absl::InvalidArgumentError(Cat("file ",
                                            file.name,
                                            " of the result has size ",
                                            file.size,
                                            " and digest \"",
                                            file.digest.value(),
                                            "\""));
    }
  }
  std::set<std::pair<std::string_view, int>> samples;
  for (const VerdictRow& row : verdicts) {
    const std::string name = Cat("verdict of ", row.problem, " sample ", row.sample);
    if (row.sample < 0 || !samples.insert({row.problem, row.sample}).second) {
      return absl::InvalidArgumentError(Cat(name, ": it comes twice, or the sample is negative"));
    }
    if (row.verdict.empty() || row.verdict == "infrastructure") {
      return absl::InvalidArgumentError(
          Cat(name, ": \"", row.verdict, "\" is not a program's verdict"));
    }
    if (!std::isfinite(row.cpu_seconds) || !std::isfinite(row.wall_seconds)) {
      return absl::InvalidArgumentError(Cat(name, ": its times are not numbers"));
    }
  }
  return absl::OkStatus();
}

}  // namespace bitsweep
