#include "coordinator/metrics/probe.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include "bitsweep_generated/build_id.h"

namespace bitsweep {
namespace {

// Stages last from a fraction of a second (a demo's grade) to a day (a 34B quantization): a factor of two to four a bucket.
const prometheus::Histogram::BucketBoundaries kStageSeconds = {0.1, 0.5,  1,    2,    5,     10,    30,    60,
                                                               300, 900,  3600, 7200, 14400, 28800, 86400};
// A group commit is one fsync: a tenth of a millisecond on a good disk, tens of milliseconds on a bad one.
const prometheus::Histogram::BucketBoundaries kCommitSeconds = {0.0001, 0.00025, 0.0005, 0.001, 0.0025,
                                                                0.005,  0.01,    0.05,   0.25,  1};

std::string Text(std::string_view view) { return std::string(view); }

}  // namespace

struct CoordinatorProbe::Families {
  prometheus::Registry registry;
  prometheus::Family<prometheus::Gauge>& stages =
      prometheus::BuildGauge().Name("bitsweep_stages").Help("Stages of live sweeps by kind and state.").Register(registry);
  prometheus::Family<prometheus::Histogram>& stage_seconds = prometheus::BuildHistogram()
                                                                 .Name("bitsweep_stage_duration_seconds")
                                                                 .Help("Wall time of ended attempts by kind.")
                                                                 .Register(registry);
  prometheus::Family<prometheus::Counter>& results = prometheus::BuildCounter()
                                                         .Name("bitsweep_stage_results_total")
                                                         .Help("Ended attempts by kind and result.")
                                                         .Register(registry);
  prometheus::Family<prometheus::Counter>& failures = prometheus::BuildCounter()
                                                          .Name("bitsweep_stage_failures_total")
                                                          .Help("Failed attempts by kind and failure class.")
                                                          .Register(registry);
  prometheus::Family<prometheus::Gauge>& workers =
      prometheus::BuildGauge().Name("bitsweep_workers").Help("Workers by state.").Register(registry);
  prometheus::Gauge& slots = prometheus::BuildGauge()
                                 .Name("bitsweep_worker_slots")
                                 .Help("Stages that the connected workers can run at a time.")
                                 .Register(registry)
                                 .Add({});
  prometheus::Gauge& slots_busy = prometheus::BuildGauge()
                                      .Name("bitsweep_worker_slots_busy")
                                      .Help("Stages that the connected workers hold now.")
                                      .Register(registry)
                                      .Add({});
  prometheus::Family<prometheus::Gauge>& sweeps =
      prometheus::BuildGauge().Name("bitsweep_sweeps").Help("Sweeps by state.").Register(registry);
  prometheus::Family<prometheus::Gauge>& cells =
      prometheus::BuildGauge().Name("bitsweep_cells").Help("Cells of all sweeps by state.").Register(registry);
  prometheus::Counter& stale = prometheus::BuildCounter()
                                   .Name("bitsweep_stale_messages_total")
                                   .Help("Worker messages dropped because their lease was no longer current.")
                                   .Register(registry)
                                   .Add({});
  prometheus::Counter& commits = prometheus::BuildCounter()
                                     .Name("bitsweep_store_commits_total")
                                     .Help("Committed transactions (each may carry many events).")
                                     .Register(registry)
                                     .Add({});
  prometheus::Histogram& commit_seconds = prometheus::BuildHistogram()
                                              .Name("bitsweep_store_commit_seconds")
                                              .Help("Duration of a transaction, its fsync included.")
                                              .Register(registry)
                                              .Add({}, kCommitSeconds);
  prometheus::Family<prometheus::Counter>& blob_bytes = prometheus::BuildCounter()
                                                            .Name("bitsweep_blob_bytes_total")
                                                            .Help("Bytes of blobs received (in) and sent (out).")
                                                            .Register(registry);
};

CoordinatorProbe::CoordinatorProbe(double start_unix_seconds) : families_(std::make_unique<Families>()) {
  // Every label combination exists from the start: a counter that appears only with its first failure hides that failure from rate().
  for (const StageKind kind : kStageKinds) {
    for (const StageState state : kStageStates) {
      SetStages(kind, state, 0);
    }
    families_->stage_seconds.Add({{"kind", Text(ToString(kind))}}, kStageSeconds);
    for (const char* result : {"succeeded", "failed"}) {
      families_->results.Add({{"kind", Text(ToString(kind))}, {"result", result}});
    }
    for (const FailureClass failure : kFailureClasses) {
      families_->failures.Add({{"kind", Text(ToString(kind))}, {"failure_class", Text(ToString(failure))}});
    }
  }
  SetWorkers("connected", 0);
  SetWorkers("lost", 0);
  for (const char* state : {"planning", "running", "paused", "succeeded", "failed", "cancelled"}) {
    SetSweeps(state, 0);
  }
  for (const char* state : {"pending", "running", "succeeded", "failed", "cancelled"}) {
    SetCells(state, 0);
  }
  BlobBytes("in", 0);
  BlobBytes("out", 0);
  prometheus::BuildGauge()
      .Name("bitsweep_build_info")
      .Help("Always 1; the labels say what runs.")
      .Register(families_->registry)
      .Add({{"version", kVersion}, {"build", kBuildId}})
      .Set(1);
  prometheus::BuildGauge()
      .Name("bitsweep_start_time_seconds")
      .Help("When this process started, in Unix time.")
      .Register(families_->registry)
      .Add({})
      .Set(start_unix_seconds);
}

CoordinatorProbe::~CoordinatorProbe() = default;

void CoordinatorProbe::SetStages(StageKind kind, StageState state, std::int64_t count) {
  families_->stages.Add({{"kind", Text(ToString(kind))}, {"state", Text(ToString(state))}}).Set(static_cast<double>(count));
}

void CoordinatorProbe::SetSweeps(std::string_view state, std::int64_t count) {
  families_->sweeps.Add({{"state", Text(state)}}).Set(static_cast<double>(count));
}

void CoordinatorProbe::SetCells(std::string_view state, std::int64_t count) {
  families_->cells.Add({{"state", Text(state)}}).Set(static_cast<double>(count));
}

void CoordinatorProbe::SetWorkers(std::string_view state, std::int64_t count) {
  families_->workers.Add({{"state", Text(state)}}).Set(static_cast<double>(count));
}

void CoordinatorProbe::SetSlots(std::int64_t total, std::int64_t busy) {
  families_->slots.Set(static_cast<double>(total));
  families_->slots_busy.Set(static_cast<double>(busy));
}

void CoordinatorProbe::StageFinished(StageKind kind, double seconds, std::optional<FailureClass> failure) {
  const std::string name = Text(ToString(kind));
  families_->stage_seconds.Add({{"kind", name}}, kStageSeconds).Observe(seconds);
  families_->results.Add({{"kind", name}, {"result", failure ? "failed" : "succeeded"}}).Increment();
  if (failure) {
    families_->failures.Add({{"kind", name}, {"failure_class", Text(ToString(*failure))}}).Increment();
  }
}

void CoordinatorProbe::StaleMessage() { families_->stale.Increment(); }

void CoordinatorProbe::StoreCommit(double seconds) {
  families_->commits.Increment();
  families_->commit_seconds.Observe(seconds);
}

void CoordinatorProbe::BlobBytes(std::string_view direction, std::int64_t bytes) {
  families_->blob_bytes.Add({{"direction", Text(direction)}}).Increment(static_cast<double>(bytes));
}

std::string CoordinatorProbe::Serialize() const {
  return prometheus::TextSerializer().Serialize(families_->registry.Collect());
}

}  // namespace bitsweep
