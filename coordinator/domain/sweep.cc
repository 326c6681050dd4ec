#include "coordinator/domain/sweep.h"

namespace bitsweep {

std::string_view ToString(SweepState state) {
  switch (state) {
    case SweepState::kPlanning:
      return "planning";
    case SweepState::kRunning:
      return "running";
    case SweepState::kPaused:
      return "paused";
    case SweepState::kSucceeded:
      return "succeeded";
    case SweepState::kFailed:
      return "failed";
    case SweepState::kCancelled:
      return "cancelled";
  }
  return "unknown";
}

std::optional<SweepState> ParseSweepState(std::string_view name) {
  for (const SweepState state : kSweepStates) {
    if (ToString(state) == name) {
      return state;
    }
  }
  return std::nullopt;
}

std::string_view ToString(CellState state) {
  switch (state) {
    case CellState::kPending:
      return "pending";
    case CellState::kRunning:
      return "running";
    case CellState::kSucceeded:
      return "succeeded";
    case CellState::kFailed:
      return "failed";
    case CellState::kCancelled:
      return "cancelled";
  }
  return "unknown";
}

}  // namespace bitsweep
