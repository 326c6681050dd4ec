#include "coordinator/app/coordinator.h"

#include <filesystem>

#include <absl/strings/str_cat.h>
#include <spdlog/spdlog.h>

#include "coordinator/app/verdicts.h"
#include "coordinator/domain/handlers.h"
#include "proto/base/status_macros.h"
#include "proto/contract/limits.h"

namespace bitsweep {
namespace {

// A verdict row is under 300 bytes; the largest cell of the study has 3,220 samples with 4 KiB of streams each.
constexpr std::int64_t kVerdictBytesMax = std::int64_t{256} << 20;
constexpr const char* kVerdictsFile = "verdicts.jsonl";

/// BlobStore::Writer as the rpc room's sink, counting bytes.
class CountingSink : public BlobSink {
 public:
  CountingSink(std::unique_ptr<BlobStore::Writer> writer, CoordinatorProbe& probe)
      : writer_(std::move(writer)), probe_(probe) {}
  absl::Status Write(std::string_view bytes) override {
    probe_.BlobBytes("in", static_cast<std::int64_t>(bytes.size()));
    return writer_->Write(bytes);
  }
  absl::Status Finish() override { return writer_->Finish(); }

 private:
  std::unique_ptr<BlobStore::Writer> writer_;
  CoordinatorProbe& probe_;
};

class CountingReader : public BlobReader {
 public:
  CountingReader(std::unique_ptr<BlobStore::Reader> reader, CoordinatorProbe& probe)
      : reader_(std::move(reader)), probe_(probe) {}
  absl::StatusOr<std::string> Read(std::int64_t bytes_max) override {
    absl::StatusOr<std::string> bytes = reader_->Read(static_cast<std::size_t>(bytes_max));
    if (bytes.ok()) {
      probe_.BlobBytes("out", static_cast<std::int64_t>(bytes->size()));
    }
    return bytes;
  }

 private:
  std::unique_ptr<BlobStore::Reader> reader_;
  CoordinatorProbe& probe_;
};

}  // namespace

Coordinator::Coordinator(std::unique_ptr<BlobStore> blobs, const Clock& clock)
    : clock_(clock), probe_(absl::ToDoubleSeconds(clock.Now() - absl::UnixEpoch())), blobs_(std::move(blobs)) {}

Coordinator::~Coordinator() { strand_.reset(); }

absl::StatusOr<std::unique_ptr<Coordinator>> Coordinator::Open(const std::string& data_dir, const Clock& clock) {
  std::error_code error;
  std::filesystem::create_directories(data_dir, error);
  if (error) {
    return absl::PermissionDeniedError(absl::StrCat(data_dir, ": cannot be made: ", error.message()));
  }
  BITSWEEP_ASSIGN_OR_RETURN(std::unique_ptr<Store> store, Store::Open(data_dir + "/bitsweep.db"));
  BITSWEEP_ASSIGN_OR_RETURN(std::unique_ptr<BlobStore> blobs, BlobStore::Open(data_dir));
  BITSWEEP_ASSIGN_OR_RETURN(const Records records, store->Load());
  BITSWEEP_ASSIGN_OR_RETURN(std::unique_ptr<Core> core, Restore(records, clock.Now()));
  std::unique_ptr<Coordinator> coordinator(new Coordinator(std::move(blobs), clock));
  Coordinator* self = coordinator.get();
  coordinator->strand_ = std::make_unique<CoreStrand>(
      std::move(core), std::move(store), clock,
      [self](const Effects& effects, Core& state) { self->CarryOut(effects, state); },
      [self](double seconds) { self->probe_.StoreCommit(seconds); });
  coordinator->strand_->Post([](Context& context) -> CoreStrand::Completion {
    OnRestored(context.core, context.out, context.now);
    return {};
  });
  coordinator->strand_->Start();
  return coordinator;
}

// Sessions.

absl::StatusOr<WorkerId> Coordinator::OpenSession(const Registration& registration, std::shared_ptr<SessionSink> sink) {
  const WorkerId worker = strand_->Call<WorkerId>([&](Context& context) {
    const WorkerId id =
        OnWorkerRegistered(context.core, context.out, registration.offer, registration.held, context.now);
    sinks_[id] = sink;  // Before the effects: the first of them is this worker's Registered.
    return id;
  });
  spdlog::info("worker {} registered as {} ({} cores, {} slots, {} held)", registration.offer.name, worker.value(),
               registration.offer.cores, registration.offer.slots, registration.held.size());
  return worker;
}

absl::StatusOr<std::vector<VerdictRow>> Coordinator::CheckArtifact(const ArtifactManifest& artifact) {
  std::vector<VerdictRow> rows;
  for (const ArtifactFile& file : artifact.files) {
    if (!blobs_->Has(file.digest)) {
      return absl::FailedPreconditionError(
          absl::StrCat("the worker published ", file.name, " without uploading its blob ", file.digest.value()));
    }
    if (file.name == kVerdictsFile) {
      BITSWEEP_ASSIGN_OR_RETURN(const std::string text, blobs_->ReadAll(file.digest, kVerdictBytesMax));
      BITSWEEP_ASSIGN_OR_RETURN(rows, ParseVerdicts(text));
    }
  }
  return rows;
}

void Coordinator::Deliver(WorkerId worker, WorkerMessage message) {
  std::vector<VerdictRow> rows;
  if (auto* success = std::get_if<StageSucceeded>(&message)) {
    absl::StatusOr<std::vector<VerdictRow>> checked = CheckArtifact(success->artifact);
    if (checked.ok()) {
      rows = *std::move(checked);
    } else {
      message = StageFailed{success->fence, FailureClass::kBug, std::string(checked.status().message()),
                            success->log_tail};
    }
  }
  strand_->Post([this, worker, message = std::move(message),
                 rows = std::move(rows)](Context& context) mutable -> CoreStrand::Completion {
    const auto* success = std::get_if<StageSucceeded>(&message);
    const Stage* stage = success == nullptr ? nullptr : context.core.FindStage(success->fence.stage);
    if (stage != nullptr && stage->kind() == StageKind::kGrade && rows.empty()) {
      message = StageFailed{success->fence, FailureClass::kBug, "the grader published no verdict", success->log_tail};
    } else if (stage != nullptr && stage->kind() != StageKind::kGrade) {
      rows.clear();
    }
    const absl::Status status =
        OnWorkerMessage(context.core, context.out, worker, message, std::move(rows), context.now);
    if (!status.ok()) {
      if (const auto sink = sinks_.find(worker); sink != sinks_.end()) {
        sink->second->Close(status);
      }
    }
    return {};
  });
}

void Coordinator::CloseSession(WorkerId worker, const SessionSink* sink) {
  strand_->Post([this, worker, sink](Context& context) -> CoreStrand::Completion {
    const auto found = sinks_.find(worker);
    if (found != sinks_.end() && found->second.get() == sink) {
      sinks_.erase(found);
      OnWorkerDisconnected(context.core, context.out, worker, context.now);
    }
    return {};
  });
}

// Effects.

void Coordinator::Observe(const Probe& probe) {
  if (const auto* finished = std::get_if<probe::StageFinished>(&probe)) {
    if (finished->state != StageState::kCancelled) {
      probe_.StageFinished(finished->kind, absl::ToDoubleSeconds(finished->took), finished->failure);
    }
  } else if (std::holds_alternative<probe::StaleMessage>(probe)) {
    probe_.StaleMessage();
  }
}

void Coordinator::CarryOut(const Effects& effects, Core& core) {
  for (const Effects::Send& send : effects.sends) {
    if (const auto sink = sinks_.find(send.worker); sink != sinks_.end()) {
      sink->second->Post(send.message);
    }
  }
  for (const WorkerId worker : effects.closed) {
    if (const auto sink = sinks_.find(worker); sink != sinks_.end()) {
      sink->second->Close(absl::AlreadyExistsError("another session has registered this worker's name"));
      sinks_.erase(sink);
    }
  }
  for (const Probe& probe : effects.probes) {
    Observe(probe);
  }
  for (const Effects::PlanModel& request : effects.plans) {
    PlanInspected(request, core);
  }
  if (!effects.sweeps_changed.empty()) {
    SweepsChanged();
  }
}

void Coordinator::SweepsChanged() {
  const std::lock_guard<std::mutex> lock(version_mutex_);
  ++version_;
  version_changed_.notify_all();
}

std::uint64_t Coordinator::AwaitChange(std::uint64_t version, absl::Duration timeout) {
  std::unique_lock<std::mutex> lock(version_mutex_);
  version_changed_.wait_for(lock, absl::ToChronoNanoseconds(timeout), [&] { return version_ != version; });
  return version_;
}

// Blobs.

std::vector<Digest> Coordinator::MissingBlobs(const std::vector<Digest>& digests) {
  std::vector<Digest> missing;
  for (const Digest& digest : digests) {
    if (!blobs_->Has(digest)) {
      missing.push_back(digest);
    }
  }
  return missing;
}

absl::StatusOr<std::unique_ptr<BlobSink>> Coordinator::StoreBlob(const Digest& digest, std::int64_t size) {
  BITSWEEP_ASSIGN_OR_RETURN(std::unique_ptr<BlobStore::Writer> writer, blobs_->Write(digest, size));
  return std::make_unique<CountingSink>(std::move(writer), probe_);
}

absl::StatusOr<std::unique_ptr<BlobReader>> Coordinator::ReadBlob(const Digest& digest, std::int64_t offset) {
  BITSWEEP_ASSIGN_OR_RETURN(std::unique_ptr<BlobStore::Reader> reader, blobs_->Read(digest, offset));
  return std::make_unique<CountingReader>(std::move(reader), probe_);
}

// Metrics.

std::string Coordinator::Metrics() {
  strand_->Call<bool>([this](Context& context) {
    const Core& core = context.core;
    for (std::size_t kind = 0; kind < kStageKinds.size(); ++kind) {
      for (std::size_t state = 0; state < kStageStates.size(); ++state) {
        probe_.SetStages(kStageKinds[kind], kStageStates[state], core.stage_counts[kind][state]);
      }
    }
    std::map<std::string_view, std::int64_t> sweeps, cells, workers;
    for (const SweepState state : kSweepStates) {
      sweeps[ToString(state)] = 0;
    }
    for (const CellState state : kCellStates) {
      cells[ToString(state)] = 0;
    }
    for (const auto& [id, sweep] : core.sweeps) {
      ++sweeps[ToString(sweep->state)];
      for (std::size_t state = 0; state < kCellStates.size(); ++state) {
        cells[ToString(kCellStates[state])] += sweep->cell_counts[state];
      }
    }
    std::int64_t slots = 0, busy = 0;
    for (const WorkerState state : kWorkerStates) {
      workers[ToString(state)] = 0;
    }
    for (const auto& [id, worker] : core.workers) {
      ++workers[ToString(worker.state)];
      if (worker.state == WorkerState::kConnected) {
        slots += worker.offer.slots;
        busy += worker.slots_used;
      }
    }
    for (const auto& [state, count] : sweeps) {
      probe_.SetSweeps(state, count);
    }
    for (const auto& [state, count] : cells) {
      probe_.SetCells(state, count);
    }
    for (const auto& [state, count] : workers) {
      probe_.SetWorkers(state, count);
    }
    probe_.SetSlots(slots, busy);
    return true;
  });
  return probe_.Serialize();
}

}  // namespace bitsweep
