// What the gRPC services ask of the coordinator. The interfaces belong to this room, because it calls them; coordinator/app implements
// them on the core strand, so that protobuf ends here and the domain never sees it.
// Thread rule: every method may be called from any gRPC thread; those that change something return after the change is durable.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include "coordinator/domain/handlers.h"
#include "coordinator/domain/provenance.h"
#include "coordinator/domain/status.h"
#include "proto/contract/cell.h"
#include "proto/contract/session.h"

namespace bitsweep {

/// A sweep file as the client sent it; every benchmark and calibration file that it names was uploaded before.
struct SweepSource {
  std::string file_name;                     // For messages.
  std::string text;
  std::map<std::string, std::string> settings;
  std::map<std::string, Digest> files;       // Path as written -> digest.
};

struct SubmitCommand {
  SweepSource source;
  std::string request_id;
  int priority = 0;
  std::string user;
  std::string name;  // Instead of the sweep file's; empty: the file's.
};

enum class SweepAction { kCancel, kPause, kResume, kRetry };

struct ActionReceipt {
  SweepId sweep;
  std::string name;
  int stages = 0;  // How many changed.
};

struct StageExplanation {
  StageKey stage;
  std::string text, detail_json;
};

struct StageLog {
  StageKey stage;
  int attempt = 0;
  std::string worker, state, text;
};

struct RenderedTable {
  std::string question, kind, benchmark, text;
};

/// What a table shows beyond its figures.
struct TableChoices {
  bool intervals = false;  // 95% bootstrap intervals over problems.
  bool rounded = false;    // Compares figures as printed.
};

struct CellStatus {
  CellDefinition definition;
  std::optional<double> pass_at_1;           // In [0, 1].
  std::optional<std::int64_t> size_bytes;
  std::optional<double> effective_bits;
  std::string state;
};

/// Where messages to one worker go. Post never blocks; after Close it does nothing.
class SessionSink {
 public:
  virtual ~SessionSink() = default;
  virtual void Post(CoordinatorMessage message) = 0;
  /// Ends the stream: the worker was lost, or another session took its name.
  virtual void Close(absl::Status why) = 0;
};

/// The side of the workers' sessions.
class SessionBackend {
 public:
  virtual ~SessionBackend() = default;
  /// Registers the worker and posts `Registered` to the sink. ALREADY_EXISTS: a live worker has this name.
  virtual absl::StatusOr<WorkerId> OpenSession(const Registration& registration, std::shared_ptr<SessionSink> sink) = 0;
  virtual void Deliver(WorkerId worker, WorkerMessage message) = 0;
  /// The stream ended, for whatever reason. Held stages stay with the worker until it is declared lost.
  virtual void CloseSession(WorkerId worker, const SessionSink* sink) = 0;
};

/// Takes the bytes of one blob.
class BlobSink {
 public:
  virtual ~BlobSink() = default;
  virtual absl::Status Write(std::string_view bytes) = 0;
  /// Publishes it. DATA_LOSS when the bytes do not have the promised digest or size.
  virtual absl::Status Finish() = 0;
};

/// Gives the bytes of one blob.
class BlobReader {
 public:
  virtual ~BlobReader() = default;
  /// At most `bytes_max`; empty at the end.
  virtual absl::StatusOr<std::string> Read(std::int64_t bytes_max) = 0;
};

class BlobBackend {
 public:
  virtual ~BlobBackend() = default;
  virtual std::vector<Digest> MissingBlobs(const std::vector<Digest>& digests) = 0;
  virtual absl::StatusOr<std::unique_ptr<BlobSink>> StoreBlob(const Digest& digest, std::int64_t size) = 0;
  /// NOT_FOUND: not held here.
  virtual absl::StatusOr<std::unique_ptr<BlobReader>> ReadBlob(const Digest& digest, std::int64_t offset) = 0;
};

/// What a user does with sweeps. A `sweep` is an id, a name, a prefix of an id, or "latest"; a `stage` is a key or a prefix of it.
/// NOT_FOUND says what was looked for; INVALID_ARGUMENT where a prefix is ambiguous.
class SweepBackend {
 public:
  virtual ~SweepBackend() = default;
  /// The plan as JSON (architecture, section 9), with the number of cached stages where the models' identities are known.
  virtual absl::StatusOr<std::string> Plan(const SweepSource& source) = 0;
  virtual absl::StatusOr<SubmitReceipt> Submit(const SubmitCommand& command) = 0;
  virtual absl::StatusOr<std::vector<SweepSummary>> ListSweeps() = 0;
  virtual absl::StatusOr<SweepView> GetSweep(const std::string& sweep) = 0;
  /// Waits until some sweep may have changed since `version` (0: returns at once), or `timeout`; returns the new version.
  virtual std::uint64_t AwaitChange(std::uint64_t version, absl::Duration timeout) = 0;
  virtual absl::StatusOr<ActionReceipt> Act(SweepAction action, const std::string& sweep, const std::string& reason) = 0;
  virtual absl::StatusOr<StageExplanation> Explain(const std::string& stage) = 0;
  /// `attempt` 0: the newest.
  virtual absl::StatusOr<StageLog> Logs(const std::string& stage, int attempt) = 0;
  virtual std::vector<WorkerView> Workers() = 0;
};

/// Somebody's outcomes, uploaded before.
struct ImportCommand {
  std::string request_id, name, user;
  std::string file_name;                    // Without its folder; ends in .gz where it is gzipped.
  Digest digest;
  std::vector<std::string> maps, defaults;  // As on the command line.
};

struct ImportReceipt {
  SubmitReceipt sweep;
  std::int64_t rows = 0;
  std::vector<std::string> questions, notes;
};

struct StatsQuery {
  std::string sweep, question, benchmark, format;  // Empty question: every one.
  std::uint64_t seed = 0;
  int permutations = 0, resamples = 0;  // 0: the default.
};

struct RenderedStats {
  std::string question, kind, text;
};

/// A finished cell, sample by sample.
struct CellSamples {
  CellStatus cell;
  std::vector<VerdictRow> verdicts;  // By problem and sample.
};

struct SweepRecord {
  SweepId id;
  Submission submission;
  SweepState state = SweepState::kPlanning;
  absl::Time created;
  bool imported = false;
  std::vector<StageProvenance> stages;
};

class ResultBackend {
 public:
  virtual ~ResultBackend() = default;
  /// Empty `question`: every one. Empty `benchmark`: every one that the question uses.
  virtual absl::StatusOr<std::vector<RenderedTable>> Tables(const std::string& sweep,
                                                            const std::string& question,
                                                            const std::string& benchmark,
                                                            const std::string& format,
                                                            const TableChoices& choices) = 0;
  virtual absl::StatusOr<std::vector<CellStatus>> Cells(const std::string& sweep) = 0;
  virtual absl::StatusOr<ImportReceipt> Import(const ImportCommand& command) = 0;
  virtual absl::StatusOr<std::vector<RenderedStats>> Stats(const StatsQuery& query) = 0;
  virtual absl::StatusOr<std::string> Compare(const std::string& sweep,
                                              const std::string& with,
                                              const std::string& format) = 0;
  /// Calls `sink` for every succeeded cell in the sweep's order until it returns false.
  virtual absl::Status Outcomes(const std::string& sweep,
                                const std::function<bool(const CellSamples&)>& sink) = 0;
  virtual absl::StatusOr<SweepRecord> Record(const std::string& sweep) = 0;
};

/// All of it: what coordinator/app implements.
class Backend : public SessionBackend, public BlobBackend, public SweepBackend, public ResultBackend {};

}  // namespace bitsweep
