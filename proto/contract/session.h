// What a worker and the coordinator say to each other over one session, as plain values (wire form: proto/bitsweep/v1/worker.proto).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <absl/time/time.h>

#include "proto/base/ids.h"
#include "proto/contract/stage.h"

namespace bitsweep {

/// Names one attempt. A message with a fence that is not the stage's current one is dropped and counted, never applied.
struct Fence {
  StageKey stage;
  int attempt = 0;
  LeaseId lease;
  friend bool operator==(const Fence&, const Fence&) = default;
  friend auto operator<=>(const Fence&, const Fence&) = default;
};

struct GpuOffer {
  std::string name;
  std::int64_t memory_bytes = 0;
  std::string compute_capability;
};

/// What a worker can do. Sent at registration; a change means a new registration.
struct WorkerOffer {
  std::string name;                        // Unique among live workers; default host name and pid.
  std::string version, build;
  std::vector<StageKind> stages;           // From --stages.
  std::map<std::string, int> semantics;    // Stage kind -> version its tools implement.
  std::vector<GpuOffer> gpus;
  std::int64_t host_bytes = 0;
  int cores = 1;
  int slots = 1;                           // CPU stages at a time.
  std::string isolation;                   // The best that works here: "bubblewrap", "landlock", "none"
  std::map<std::string, std::string> labels;
  std::vector<std::string> models;         // Folders below --model-root, relative.
};

/// The first message of a session.
struct Registration {
  WorkerOffer offer;
  std::vector<Fence> held;                 // Attempts that survived a lost connection.
};

/// A stage on its way to a worker.
struct Assignment {
  Fence fence;
  StageDefinition stage;
  /// For every kArtifact input: the upstream's manifest, so that the worker can fetch what it lacks.
  std::map<std::string, ArtifactManifest> artifacts;
  int cores = 1;                           // Threads that the child may use.
};

// Worker -> coordinator.
struct StageStarted { Fence fence; };
struct StageProgress {
  Fence fence;
  std::string phase, unit;
  std::int64_t done = 0, total = 0;
};
struct StageSucceeded {
  Fence fence;
  ArtifactManifest artifact;
  std::int64_t peak_host_bytes = 0, peak_gpu_bytes = 0;
  std::string build;                       // Provenance: the tool's build id.
  std::string log_tail;
};
struct StageFailed {
  Fence fence;
  FailureClass failure = FailureClass::kBug;
  std::string message;
  std::string log_tail;                    // The last kLogTailBytes of the child's standard error.
};
struct Heartbeat {
  std::vector<Fence> held;                 // Every attempt this worker holds: how a restarted coordinator re-attaches.
};
struct Goodbye { std::string reason; };    // A clean stop: held stages go back without waiting for a timeout.
using WorkerMessage = std::variant<StageStarted, StageProgress, StageSucceeded, StageFailed, Heartbeat, Goodbye>;

// Coordinator -> worker.
struct Registered {
  WorkerId worker;
  absl::Duration heartbeat_interval;
  std::vector<Fence> keep;                 // Of the attempts held at registration, those still wanted; the rest is killed.
};
struct CancelAttempt { Fence fence; std::string reason; };
/// The result is durable (or was refused as stale): the worker may forget the attempt.
struct ResultAcknowledged { Fence fence; bool stale = false; };
struct Drain { std::string reason; };
using CoordinatorMessage = std::variant<Registered, Assignment, CancelAttempt, ResultAcknowledged, Drain>;

}  // namespace bitsweep
