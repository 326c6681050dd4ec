#include "worker/runtime/machine.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sched.h>
#include <spdlog/spdlog.h>
#include <sstream>
#include <unistd.h>

#include <absl/strings/ascii.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include "worker/runtime/limits.h"

namespace bitsweep {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// The program of that name on PATH, or "".
std::string OnPath(const std::string& name) {
  const char* path = std::getenv("PATH");
  for (const std::string& folder :
       std::vector<std::string>(absl::StrSplit(path == nullptr ? "" : path, ':'))) {
    const std::string candidate = folder + "/" + name;
    std::error_code error;
    if (fs::is_regular_file(candidate, error) && ::access(candidate.c_str(), X_OK) == 0) {
      return candidate;
    }
  }
  return "";
}

}  // namespace

bool HasBubblewrap(Children& children) {
  const std::string bwrap = OnPath("bwrap");
  if (bwrap.empty()) {
    return false;
  }
  const absl::StatusOr<std::string> output =
      Capture(children, {bwrap, "--unshare-all", "--ro-bind", "/", "/", "true"}, kProbeTimeout);
  if (!output.ok()) {
    spdlog::info("bubblewrap does not work here: {}", std::string(output.status().message()));
  }
  return output.ok();
}

absl::StatusOr<Tool> AskTool(Children& children, const std::string& path) {
  absl::StatusOr<std::string> text =
      Capture(children, {path, "version", "--output", "json"}, kProbeTimeout);
  if (!text.ok()) {
    return text.status();
  }
  Tool tool{.path = path, .version = "", .build = "", .semantics = {}, .gpus = std::nullopt};
  try {
    const json answer = json::parse(*text);
    tool.version = answer.at("version");
    tool.build = answer.at("build");
    tool.semantics = answer.at("semantics").get<std::map<std::string, int>>();
    if (answer.contains("devices")) {
      tool.gpus = 0;
      for (const std::string& device : answer.at("devices").get<std::vector<std::string>>()) {
        *tool.gpus += device.starts_with("cuda") ? 1 : 0;
      }
    }
  } catch (const json::exception& error) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " version --output json: not understood: ", error.what()));
  }
  return tool;
}

std::vector<GpuOffer> Gpus(Children& children) {
  const std::string tool = OnPath("nvidia-smi");
  if (tool.empty()) {
    return {};
  }
  const absl::StatusOr<std::string> text =
      Capture(children,
              {tool, "--query-gpu=name,memory.total,compute_cap", "--format=csv,noheader,nounits"},
              kProbeTimeout);
  if (!text.ok()) {
    spdlog::warn("no GPU is offered: {}", std::string(text.status().message()));
    return {};
  }
  return ParseGpus(*text);
}

std::vector<GpuOffer> ParseGpus(const std::string& csv) {
  std::vector<GpuOffer> gpus;
  for (const std::string& line : std::vector<std::string>(absl::StrSplit(csv, '\n'))) {
    std::vector<std::string> fields = absl::StrSplit(line, ',');
    std::int64_t mebibytes = 0;
    if (fields.size() == 3 && absl::SimpleAtoi(fields[1], &mebibytes)) {
      gpus.push_back({.name = std::string(absl::StripAsciiWhitespace(fields[0])),
                      .memory_bytes = mebibytes << 20,
                      .compute_capability = std::string(absl::StripAsciiWhitespace(fields[2]))});
    }
  }
  return gpus;
}

std::int64_t HostBytes() {
  std::int64_t bytes = static_cast<std::int64_t>(::sysconf(_SC_PHYS_PAGES)) *
                       static_cast<std::int64_t>(::sysconf(_SC_PAGESIZE));
  std::ifstream stream("/sys/fs/cgroup/memory.max");
  std::int64_t limit = 0;
  if (stream >> limit && limit > 0) {
    bytes = std::min(bytes, limit);
  }
  return bytes;
}

int Cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return ::sched_getaffinity(0, sizeof set, &set) == 0 ? std::max(1, CPU_COUNT(&set)) : 1;
}

}  // namespace bitsweep
