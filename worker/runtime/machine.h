// What this machine offers: tools, sandbox, devices, memory. Asked once, at start.
// Blocking; any thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <absl/status/statusor.h>

#include "worker/runtime/children.h"

#include "proto/contract/session.h"

namespace bitsweep {

/// bitsweep-engine or bitsweep-grade, as it describes itself.
struct Tool {
  std::string path, version, build;
  std::map<std::string, int> semantics;  // Stage kind -> version.
  std::optional<int> gpus;               // That it can use; nullopt when it does not say.
};

/// What `PATH version --output json` says. FAILED_PRECONDITION: it is not a tool of ours.
absl::StatusOr<Tool> AskTool(Children& children, const std::string& path);

/// Whether bubblewrap can make its namespaces here.
bool HasBubblewrap(Children& children);

/// As nvidia-smi tells; none when it is not there.
std::vector<GpuOffer> Gpus(Children& children);
/// Of `nvidia-smi --query-gpu=name,memory.total,compute_cap --format=csv,noheader,nounits`. Lines
/// that are something else are left out.
std::vector<GpuOffer> ParseGpus(const std::string& csv);

/// Physical memory, or the control group's limit when that is less.
std::int64_t HostBytes();
/// Cores that this process may run on.
int Cores();

}  // namespace bitsweep
