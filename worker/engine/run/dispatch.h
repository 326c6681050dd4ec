// Runs what the command line asks for: a stage from a spec file, a stage that a hand verb
// described, or a direct verb. Every path ends in `done` or `failed` on the events and in an exit
// code. Thread rule: main only.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "worker/engine/stage.h"
#include "worker/engine/verb.h"

namespace bitsweep::engine {

inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;

/// The options that every hand verb has, as parsed.
struct CommonOptions {
  Numerics numerics;
  int threads = 1;
  int events_fd = -1;
  bool print_spec = false;
};

/// `run SPEC.json`: hello, the stage's events, done or failed. -> exit code.
int RunSpecFile(const std::string& path, int events_fd, const StageRegistry& stages);
/// A hand verb that is a stage. -> exit code.
int RunStageVerb(const StageVerb& verb, const CommonOptions& options, const StageRegistry& stages);
/// A hand verb that is none. -> exit code.
int RunDirectVerb(const DirectVerb& verb, const CommonOptions& options);

/// The spec that `run` would take for a hand verb's request. `output_dir` is absolute.
nlohmann::json BuildSpec(const StageRequest& request,
                         const std::string& output_dir,
                         const CommonOptions& options);

}  // namespace bitsweep::engine
