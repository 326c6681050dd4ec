// The coordinator's metrics. Call sites speak in events and counts; only probe.cc knows prometheus-cpp, and the names,
// labels and buckets are listed in coordinator/metrics/README.md.
// Thread rule: every method may be called from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "proto/contract/stage.h"

namespace bitsweep {

class CoordinatorProbe {
 public:
  /// `start_unix_seconds`: when this process started, for bitsweep_start_time_seconds.
  explicit CoordinatorProbe(double start_unix_seconds);
  ~CoordinatorProbe();

  // Gauges: what is true now.
  void SetStages(StageKind kind, StageState state, std::int64_t count);
  void SetSweeps(std::string_view state, std::int64_t count);
  void SetCells(std::string_view state, std::int64_t count);
  void SetWorkers(std::string_view state, std::int64_t count);
  void SetSlots(std::int64_t total, std::int64_t busy);

  // Counters and histograms: what has happened.
  /// An attempt ended; `failure` is empty for a success.
  void StageFinished(StageKind kind, double seconds, std::optional<FailureClass> failure);
  void StaleMessage();
  void StoreCommit(double seconds);
  void BlobBytes(std::string_view direction, std::int64_t bytes);

  /// The text exposition format 0.0.4 of everything above.
  std::string Serialize() const;

 private:
  struct Families;
  std::unique_ptr<Families> families_;
};

}  // namespace bitsweep
