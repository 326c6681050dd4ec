// The coordinator as one object: what the gRPC services and the page ask is answered here, on the core strand where state is
// touched and on the caller's thread where it is not (parsing, hashing, rendering).
// Thread rule: every Backend method from any thread but the strand's.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <absl/status/statusor.h>

#include "coordinator/app/core_strand.h"
#include "coordinator/artifacts/blob_store.h"
#include "coordinator/metrics/probe.h"
#include "coordinator/rpc/backend.h"
#include "coordinator/study/outcomes.h"
#include "coordinator/study/plan.h"
#include "coordinator/study/sweep_spec.h"
#include "proto/base/clock.h"

namespace bitsweep {

/// What planning needs of a submitted sweep, gathered once and kept.
struct PlannedInputs {
  SweepSpec spec;
  FileFactsByPath files;
  PlanOptions options;
};

class Coordinator final : public Backend {
 public:
  /// Opens (or makes) the data folder: DIR/bitsweep.db and DIR/blobs. Errors as Store::Open and BlobStore::Open.
  static absl::StatusOr<std::unique_ptr<Coordinator>> Open(const std::string& data_dir, const Clock& clock);
  ~Coordinator() override;

  // SessionBackend
  absl::StatusOr<WorkerId> OpenSession(const Registration& registration, std::shared_ptr<SessionSink> sink) override;
  void Deliver(WorkerId worker, WorkerMessage message) override;
  void CloseSession(WorkerId worker, const SessionSink* sink) override;
  // BlobBackend
  std::vector<Digest> MissingBlobs(const std::vector<Digest>& digests) override;
  absl::StatusOr<std::unique_ptr<BlobSink>> StoreBlob(const Digest& digest, std::int64_t size) override;
  absl::StatusOr<std::unique_ptr<BlobReader>> ReadBlob(const Digest& digest, std::int64_t offset) override;
  // SweepBackend
  absl::StatusOr<std::string> Plan(const SweepSource& source) override;
  absl::StatusOr<SubmitReceipt> Submit(const SubmitCommand& command) override;
  absl::StatusOr<std::vector<SweepSummary>> ListSweeps() override;
  absl::StatusOr<SweepView> GetSweep(const std::string& sweep) override;
  std::uint64_t AwaitChange(std::uint64_t version, absl::Duration timeout) override;
  absl::StatusOr<ActionReceipt> Act(SweepAction action, const std::string& sweep, const std::string& reason) override;
  absl::StatusOr<StageExplanation> Explain(const std::string& stage) override;
  absl::StatusOr<StageLog> Logs(const std::string& stage, int attempt) override;
  std::vector<WorkerView> Workers() override;
  // ResultBackend
  absl::StatusOr<std::vector<RenderedTable>> Tables(const std::string& sweep,
                                                    const std::string& question,
                                                    const std::string& benchmark,
                                                    const std::string& format,
                                                    const TableChoices& choices) override;
  absl::StatusOr<std::vector<CellStatus>> Cells(const std::string& sweep) override;
  absl::StatusOr<ImportReceipt> Import(const ImportCommand& command) override;
  absl::StatusOr<std::vector<RenderedStats>> Stats(const StatsQuery& query) override;
  absl::StatusOr<std::string> Compare(const std::string& sweep,
                                      const std::string& with,
                                      const std::string& format) override;
  absl::Status Outcomes(const std::string& sweep, const std::function<bool(const CellSamples&)>& sink) override;
  absl::StatusOr<SweepRecord> Record(const std::string& sweep) override;

  /// The metrics of this moment in the text exposition format.
  std::string Metrics();

 private:
  using Context = CoreStrand::Context;

  Coordinator(std::unique_ptr<BlobStore> blobs, const Clock& clock);

  // Runs on the strand, after a commit.
  void CarryOut(const Effects& effects, Core& core);
  void Observe(const Probe& probe);
  void PlanInspected(const Effects::PlanModel& request, Core& core);
  /// The sweep's spec and facts, from memory or from what was submitted. `submission` is the sweep's.
  absl::StatusOr<std::shared_ptr<const PlannedInputs>> InputsOf(SweepId sweep, const Submission& submission);
  absl::StatusOr<FileFactsByPath> FactsOf(const SweepSpec& spec, const std::map<std::string, Digest>& files);
  absl::StatusOr<ModelManifest> ManifestOf(const ArtifactManifest& artifact);
  /// What is wrong with the artifact of a success (a file that was not uploaded), and the verdict rows in it.
  absl::StatusOr<std::vector<VerdictRow>> CheckArtifact(const ArtifactManifest& artifact);
  int CountCached(const SweepSpec& spec, const FileFactsByPath& files, ShapesByModel& shapes);
  void SweepsChanged();
  /// The sweep's spec and the outcomes of its finished cells.
  absl::StatusOr<std::pair<std::shared_ptr<const PlannedInputs>, std::vector<CellOutcomes>>> OutcomesOf(
      const std::string& sweep);

  const Clock& clock_;
  CoordinatorProbe probe_;
  std::unique_ptr<BlobStore> blobs_;

  std::map<WorkerId, std::shared_ptr<SessionSink>> sinks_;  // strand only

  std::mutex inputs_mutex_;
  std::map<SweepId, std::shared_ptr<const PlannedInputs>> inputs_;  // under inputs_mutex_

  std::mutex version_mutex_;
  std::condition_variable version_changed_;
  std::uint64_t version_ = 1;  // under version_mutex_

  std::unique_ptr<CoreStrand> strand_;  // last: it stops first
};

}  // namespace bitsweep
