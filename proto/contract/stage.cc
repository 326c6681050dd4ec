#include "proto/contract/stage.h"

namespace bitsweep {
namespace {

template <typename Enum>
struct Spelling {
  Enum value;
  std::string_view name;
};

constexpr std::array kKindNames = {
    Spelling<StageKind>{StageKind::kInspect, "inspect"},   Spelling<StageKind>{StageKind::kQuantize, "quantize"},
    Spelling<StageKind>{StageKind::kFinetune, "finetune"}, Spelling<StageKind>{StageKind::kGenerate, "generate"},
    Spelling<StageKind>{StageKind::kGrade, "grade"},
};
constexpr std::array kStateNames = {
    Spelling<StageState>{StageState::kWaiting, "waiting"}, Spelling<StageState>{StageState::kBlocked, "blocked"},
    Spelling<StageState>{StageState::kReady, "ready"},     Spelling<StageState>{StageState::kLeased, "leased"},
    Spelling<StageState>{StageState::kRunning, "running"}, Spelling<StageState>{StageState::kSucceeded, "succeeded"},
    Spelling<StageState>{StageState::kFailed, "failed"},   Spelling<StageState>{StageState::kCancelled, "cancelled"},
};
constexpr std::array kFailureNames = {
    Spelling<FailureClass>{FailureClass::kWorkerLost, "worker_lost"},
    Spelling<FailureClass>{FailureClass::kPreempted, "preempted"},
    Spelling<FailureClass>{FailureClass::kOomGpu, "oom_gpu"},
    Spelling<FailureClass>{FailureClass::kOomHost, "oom_host"},
    Spelling<FailureClass>{FailureClass::kDiskFull, "disk_full"},
    Spelling<FailureClass>{FailureClass::kTimeout, "timeout"},
    Spelling<FailureClass>{FailureClass::kHang, "hang"},
    Spelling<FailureClass>{FailureClass::kDiverged, "diverged"},
    Spelling<FailureClass>{FailureClass::kBadInput, "bad_input"},
    Spelling<FailureClass>{FailureClass::kSandbox, "sandbox"},
    Spelling<FailureClass>{FailureClass::kBug, "bug"},
};

template <typename Table, typename Enum>
std::string_view NameIn(const Table& table, Enum value) {
  for (const auto& row : table) {
    if (row.value == value) {
      return row.name;
    }
  }
  return "unknown";
}

template <typename Enum, typename Table>
std::optional<Enum> ValueIn(const Table& table, std::string_view name) {
  for (const auto& row : table) {
    if (row.name == name) {
      return row.value;
    }
  }
  return std::nullopt;
}

static_assert(kKindNames.size() == kStageKinds.size());
static_assert(kStateNames.size() == kStageStates.size());
static_assert(kFailureNames.size() == kFailureClasses.size());

}  // namespace

std::string_view ToString(StageKind kind) { return NameIn(kKindNames, kind); }
std::optional<StageKind> ParseStageKind(std::string_view name) { return ValueIn<StageKind>(kKindNames, name); }
std::string_view ToString(StageState state) { return NameIn(kStateNames, state); }
std::optional<StageState> ParseStageState(std::string_view name) { return ValueIn<StageState>(kStateNames, name); }
std::string_view ToString(FailureClass failure) { return NameIn(kFailureNames, failure); }
std::optional<FailureClass> ParseFailureClass(std::string_view name) {
  return ValueIn<FailureClass>(kFailureNames, name);
}

}  // namespace bitsweep
