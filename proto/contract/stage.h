// Stages as both sides see them: kinds, states, failure classes, what a stage needs and what it reads.
// Plain values: any thread. The wire form is proto/bitsweep/v1; the lifecycle's edges are coordinator/domain/lifecycle.h.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/ids.h"

namespace bitsweep {

enum class StageKind { kInspect, kQuantize, kFinetune, kGenerate, kGrade };
inline constexpr std::array kStageKinds = {StageKind::kInspect, StageKind::kQuantize, StageKind::kFinetune,
                                           StageKind::kGenerate, StageKind::kGrade};
std::string_view ToString(StageKind kind);
std::optional<StageKind> ParseStageKind(std::string_view name);

enum class StageState { kWaiting, kBlocked, kReady, kLeased, kRunning, kSucceeded, kFailed, kCancelled };
inline constexpr std::array kStageStates = {StageState::kWaiting, StageState::kBlocked,   StageState::kReady,
                                            StageState::kLeased,  StageState::kRunning,   StageState::kSucceeded,
                                            StageState::kFailed,  StageState::kCancelled};
std::string_view ToString(StageState state);
std::optional<StageState> ParseStageState(std::string_view name);

/// Why an attempt ended badly. The retry policy of each class is in coordinator/domain/retry.h.
enum class FailureClass {
  kWorkerLost, kPreempted, kOomGpu, kOomHost, kDiskFull, kTimeout, kHang, kDiverged, kBadInput, kSandbox, kBug
};
inline constexpr std::array kFailureClasses = {
    FailureClass::kWorkerLost, FailureClass::kPreempted, FailureClass::kOomGpu,   FailureClass::kOomHost,
    FailureClass::kDiskFull,   FailureClass::kTimeout,   FailureClass::kHang,     FailureClass::kDiverged,
    FailureClass::kBadInput,   FailureClass::kSandbox,   FailureClass::kBug};
std::string_view ToString(FailureClass failure);
std::optional<FailureClass> ParseFailureClass(std::string_view name);

/// What a worker must offer to be given the stage.
struct StageNeeds {
  int semantics = 0;                    // Version of the kind; the worker must implement exactly this one.
  std::string device = "cpu";           // "cpu" or "cuda"
  int gpus = 0;
  std::int64_t gpu_bytes = 0;
  std::int64_t host_bytes = 0;
  int cores = 1;                        // The least; the worker tells the child how many threads it really gets.
  std::int64_t disk_bytes = 0;
  std::string isolation;                // grade: "bubblewrap" | "landlock" | "none"; empty elsewhere
  std::vector<std::string> model_paths; // Below a worker's --model-root; only a worker that has them can run the stage.
  friend bool operator==(const StageNeeds&, const StageNeeds&) = default;
};

/// One file or folder that the agent puts on the local disk, writing its path into the spec at `pointer`.
struct StageInput {
  enum class Source {
    kModelPath,  // value: path below --model-root; `digest` is the manifest's, checked before use (empty for inspect)
    kBlob,       // value: SHA-256 of a blob that the coordinator holds (benchmarks, calibration texts)
    kArtifact,   // value: key of the upstream stage; `file` is one file of its artifact, or "" for the folder
  };
  std::string pointer;  // JSON pointer into the spec, e.g. "/model/dir", "/calibration/parts/0/file"
  Source source = Source::kBlob;
  std::string value;
  std::string file;
  std::string digest;
  friend bool operator==(const StageInput&, const StageInput&) = default;
};

/// A stage as planned. `key` is SHA-256 over the canonical JSON of {kind, semantics, parameters, upstream keys}.
struct StageDefinition {
  StageKey key;
  StageKind kind = StageKind::kInspect;
  std::string label;          // For people: "quantize sparrow-1m 2-bit code". Never part of the key.
  std::string parameters;     // Canonical JSON: what entered the key besides the upstream keys.
  std::string spec;           // JSON: the run spec without local paths (proto/README.md); inputs name where they go.
  std::vector<StageKey> upstream;
  std::vector<StageInput> inputs;
  StageNeeds needs;
  double cost_estimate = 1.0; // Relative seconds, for critical-path ranking; a guess.
};

/// A file of an artifact.
struct ArtifactFile {
  std::string name;  // Relative, '/'-separated, no "..".
  std::int64_t size = 0;
  Digest digest;
  friend bool operator==(const ArtifactFile&, const ArtifactFile&) = default;
};

/// What a stage published: the files of its output folder and the child's `done` summary (JSON).
struct ArtifactManifest {
  std::vector<ArtifactFile> files;
  std::string summary = "{}";
};

}  // namespace bitsweep
