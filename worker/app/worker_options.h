// The command line of bitsweep-worker. Main thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "proto/contract/stage.h"

namespace bitsweep {

struct WorkerOptions {
  std::string server, cache_dir;
  std::vector<std::string> model_roots;
  std::vector<StageKind> stages;  // Empty: whatever the tools can do.
  int slots = 1;
  int cores = 0;  // 0: those of the machine.
  std::map<std::string, std::string> labels;
  std::string name;              // Empty: host name and the cache folder's id.
  std::string engine, grader;    // Empty: beside this binary.
  std::int64_t cache_limit = 0;  // Bytes; 0: by the free disk.
  std::string isolation = "best";
  double hang_after_minutes = 120;
  std::string log_level = "info";
};

/// The options, or the exit code when the process is to end at once (`--help`, a mistake; the text
/// has been printed).
struct ParsedOptions {
  std::optional<WorkerOptions> options;
  int exit_code = 0;
};
ParsedOptions ParseWorkerOptions(int argc, const char* const* argv);

}  // namespace bitsweep
