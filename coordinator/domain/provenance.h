// What is on record of a succeeded stage: with what it was made, where, by which build. What an
// export hands out. Plain values: any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <absl/time/time.h>

#include "proto/base/ids.h"
#include "proto/contract/stage.h"

namespace bitsweep {

struct StageProvenance {
  StageKey stage;
  std::string kind, label, parameters, summary;  // The last two are JSON.
  int semantics = 0;
  absl::Time created;
  std::vector<ArtifactFile> files;
  // Of the attempt that succeeded; 0 and empty where the stage was imported.
  int attempt = 0;
  std::string worker, worker_version, gpus, build;
  std::optional<absl::Time> started, ended;
  std::int64_t peak_host_bytes = 0, peak_gpu_bytes = 0;
};

}  // namespace bitsweep
