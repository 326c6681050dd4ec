// A sweep, its cells, and the models that it waits for. Runs on: core strand.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <absl/time/time.h>

#include "proto/base/ids.h"
#include "proto/contract/cell.h"
#include "proto/contract/stage.h"

namespace bitsweep {

class Stage;

enum class SweepState {
  kPlanning,
  kRunning,
  kPaused,
  kSucceeded,
  kFailed,
  kCancelled
};
inline constexpr std::array kSweepStates = {SweepState::kPlanning,
                                            SweepState::kRunning,
                                            SweepState::kPaused,
                                            SweepState::kSucceeded,
                                            SweepState::kFailed,
                                            SweepState::kCancelled};
std::string_view ToString(SweepState state);
std::optional<SweepState> ParseSweepState(std::string_view name);

enum class CellState {
  kPending,
  kRunning,
  kSucceeded,
  kFailed,
  kCancelled
};
inline constexpr std::array kCellStates = {CellState::kPending,
                                           CellState::kRunning,
                                           CellState::kSucceeded,
                                           CellState::kFailed,
                                           CellState::kCancelled};
std::string_view ToString(CellState state);

/// What a user handed in. Kept whole, so that a model can be planned after a restart and a sweep
/// exported as it was.
struct Submission {
  std::string request_id;  // A second submission with it is the first one. Empty: never matched.
  std::string name, user;
  int priority = 0;
  std::string file_name, spec_text;
  std::map<std::string, std::string> settings;
  std::map<std::string, Digest> files;  // Path as written -> digest of its bytes.
  std::string device, dtype;            // Numerics as fixed at submit.
};

struct Cell {
  CellDefinition definition;
  Stage* inspect = nullptr;
  Stage* quantize = nullptr;
  Stage* finetune = nullptr;
  Stage* generate = nullptr;
  Stage* grade = nullptr;
  std::string failure;                    // Why it could not be planned; empty unless so.
  CellState state = CellState::kPending;  // Derived; kept so that counters can follow.
};

/// The cells of one model path, which are planned together once its inspect stage has succeeded.
struct ModelGroup {
  enum class Plan {
    kAwaited,
    kDone,
    kFailed
  };
  Stage* inspect = nullptr;
  std::vector<std::int32_t> cells;
  Plan plan = Plan::kAwaited;
};

/// One failed attempt, for people.
struct FailureNote {
  StageKey stage;
  StageKind kind = StageKind::kInspect;
  std::string label;
  int attempt = 0;
  FailureClass failure = FailureClass::kBug;
  std::string message;
  std::string worker;
  absl::Time ended;
  bool final = false;  // No further attempt by itself, as it was decided then.
};
// A status shows this many, newest first.
inline constexpr std::size_t kFailureNotesMax = 20;

struct Sweep {
  SweepId id;
  Submission submission;
  absl::Time created;
  std::optional<absl::Time> ended;
  bool paused = false;
  bool cancelled = false;
  int cached = 0;  // Stages that had succeeded when the sweep first referred to them.
  SweepState state = SweepState::kPlanning;  // Derived.

  std::vector<Cell> cells;
  std::vector<ModelGroup> models;
  std::vector<Stage*> stages;  // Each once, upstream before downstream.
  std::array<std::array<int, kStageStates.size()>, kStageKinds.size()>
      stage_counts{};  // [kind][state]
  std::array<int, kCellStates.size()> cell_counts{};
  std::deque<FailureNote> failures;  // Newest first, at most kFailureNotesMax.

  /// Whether it still wants stages run: planning, running or paused.
  bool Live() const {
    return state == SweepState::kPlanning || state == SweepState::kRunning ||
           state == SweepState::kPaused;
  }
};

}  // namespace bitsweep
