#include "coordinator/store/writer.h"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "coordinator/domain/text.h"
#include "coordinator/store/encoding.h"
#include "coordinator/store/queries.h"

#include "proto/base/status_macros.h"

namespace bitsweep {
namespace {

/// Runs an UPDATE that must meet its row.
absl::Status RunOne(Statement& statement, const char* what, const std::string& which) {
  BITSWEEP_ASSIGN_OR_RETURN(const int rows, statement.Run());
  if (rows != 1) {
    return absl::InternalError(Cat(what, " ", which, " changed ", rows, " rows, not 1"));
  }
  return absl::OkStatus();
}

std::string Joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) {
    text += Cat(text.empty() ? "" : ",", part);
  }
  return text;
}

std::string_view ToString(ModelGroup::Plan plan) {
  switch (plan) {
    case ModelGroup::Plan::kAwaited:
      return "awaited";
    case ModelGroup::Plan::kDone:
      return "done";
    case ModelGroup::Plan::kFailed:
      return "failed";
  }
  return "unknown";
}

struct Writer {
  Database& database;

  absl::Status operator()(const change::SweepAdded& row) {
    const Submission& from = row.submission;
    BITSWEEP_ASSIGN_OR_RETURN(Statement * add, database.Prepare(queries::kAddSweep));
    add->Bind(1, row.id.value()).Bind(2, from.request_id).Bind(3, from.name).Bind(4, from.user);
    add->Bind(5, from.priority).Bind(6, from.file_name).Bind(7, from.spec_text);
    add->Bind(8, from.device).Bind(9, from.dtype).Bind(10, row.created);
    BITSWEEP_RETURN_IF_ERROR(add->Run().status());
    for (const auto& [name, value] : from.settings) {
      BITSWEEP_ASSIGN_OR_RETURN(Statement * setting, database.Prepare(queries::kAddSetting));
      setting->Bind(1, row.id.value()).Bind(2, name).Bind(3, value);
      BITSWEEP_RETURN_IF_ERROR(setting->Run().status());
    }
    for (const auto& [path, digest] : from.files) {
      BITSWEEP_ASSIGN_OR_RETURN(Statement * file, database.Prepare(queries::kAddFile));
      file->Bind(1, row.id.value()).Bind(2, path).Bind(3, digest.value());
      BITSWEEP_RETURN_IF_ERROR(file->Run().status());
    }
    return absl::OkStatus();
  }

  absl::Status operator()(const change::SweepUpdated& row) {
    BITSWEEP_ASSIGN_OR_RETURN(Statement * update, database.Prepare(queries::kUpdateSweep));
    update->Bind(1, row.id.value()).Bind(2, bitsweep::ToString(row.state)).Bind(3, row.paused);
    update->Bind(4, row.cancelled).Bind(5, row.cached).Bind(6, row.ended);
    return RunOne(*update, "update of sweep", Cat(row.id.value()));
  }

  absl::Status operator()(const change::CellWritten& row) {
    const CellDefinition& cell = row.definition;
    BITSWEEP_ASSIGN_OR_RETURN(Statement * write, database.Prepare(queries::kWriteCell));
    write->Bind(1, row.sweep.value()).Bind(2, row.ordinal).Bind(3, cell.id).Bind(4, cell.model);
    write->Bind(5, cell.family).Bind(6, cell.params).Bind(7, cell.precision);
    write->Bind(8, cell.calibration).Bind(9, cell.finetuned).Bind(10, cell.benchmark);
    write->Bind(11, cell.language).Bind(12, cell.seed).Bind(13, cell.problems);
    write->Bind(14, cell.samples).Bind(15, cell.inspect.value());
    int parameter = 16;
    for (const std::optional<StageKey>* key :
         {&cell.quantize, &cell.finetune, &cell.generate, &cell.grade}) {
      if (*key) {
        write->Bind(parameter, (*key)->value());
      }
      ++parameter;
    }
    write->Bind(20, row.failure);
    BITSWEEP_RETURN_IF_ERROR(write->Run().status());
    for (std::size_t i = 0; i < cell.questions.size(); ++i) {
      BITSWEEP_ASSIGN_OR_RETURN(Statement * question, database.Prepare(queries::kWriteQuestion));
      question->Bind(1, row.sweep.value()).Bind(2, row.ordinal);
      question->Bind(3, static_cast<std::int64_t>(i)).Bind(4, cell.questions[i]);
      BITSWEEP_RETURN_IF_ERROR(question->Run().status());
    }
    return absl::OkStatus();
  }

  absl::Status operator()(const change::ModelPlanned& row) {
    BITSWEEP_ASSIGN_OR_RETURN(Statement * write, database.Prepare(queries::kWriteModel));
    write->Bind(1, row.sweep.value()).Bind(2, row.inspect.value()).Bind(3, ToString(row.plan));
    return write->Run().status();
  }

  absl::Status operator()(const change::StageAdded& row) {
    const StageDefinition& stage = *row.definition;
    BITSWEEP_ASSIGN_OR_RETURN(Statement * add, database.Prepare(queries::kAddStage));
    add->Bind(1, row.serial).Bind(2, stage.key.value()).Bind(3, bitsweep::ToString(stage.kind));
    add->Bind(4, stage.label).Bind(5, stage.parameters).Bind(6, stage.spec);
    add->Bind(7, EncodeInputs(stage.inputs)).Bind(8, EncodeNeeds(stage.needs));
    add->Bind(9, stage.cost_estimate).Bind(10, bitsweep::ToString(row.state)).Bind(11, row.at);
    add->Bind(12, row.attempt);
    BITSWEEP_RETURN_IF_ERROR(add->Run().status());
    for (std::size_t i = 0; i < stage.upstream.size(); ++i) {
      BITSWEEP_ASSIGN_OR_RETURN(Statement * upstream, database.Prepare(queries::kAddUpstream));
      upstream->Bind(1, row.serial).Bind(2, static_cast<std::int64_t>(i));
      upstream->Bind(3, stage.upstream[i].value());
      BITSWEEP_RETURN_IF_ERROR(upstream->Run().status());
    }
    return absl::OkStatus();
  }

  absl::Status operator()(const change::StageWanted& row) {
    BITSWEEP_ASSIGN_OR_RETURN(Statement * want, database.Prepare(queries::kWantStage));
    want->Bind(1, row.stage.value()).Bind(2, row.sweep.value());
    return want->Run().status();
  }

  absl::Status operator()(const change::StageUpdated& row) {
    BITSWEEP_ASSIGN_OR_RETURN(Statement * update, database.Prepare(queries::kUpdateStage));
    update->Bind(1, row.stage.value()).Bind(2, bitsweep::ToString(row.state)).Bind(3, row.attempt);
    update->Bind(4, row.forgiven).Bind(5, row.retry_at);
    return RunOne(*update, "update of stage", row.stage.value());
  }

  absl::Status operator()(const change::AttemptLeased& row) {
    BITSWEEP_ASSIGN_OR_RETURN(Statement * lease, database.Prepare(queries::kLeaseAttempt));
    lease->Bind(1, row.stage.value()).Bind(2, row.attempt).Bind(3, row.lease.value());
    lease->Bind(4, row.worker.value()).Bind(5, row.at);
    return lease->Run().status();
  }

  absl::Status operator()(const change::AttemptDropped& row) {
    BITSWEEP_ASSIGN_OR_RETURN(Statement * drop, database.Prepare(queries::kDropAttempt));
    drop->Bind(1, row.stage.value()).Bind(2, row.attempt);
    return RunOne(*drop, "end of a lease at", row.stage.value());
  }

  absl::Status operator()(const change::AttemptStarted& row) {
    BITSWEEP_ASSIGN_OR_RETURN(Statement * start, database.Prepare(queries::kStartAttempt));
    start->Bind(1, row.stage.value()).Bind(2, row.attempt).Bind(3, row.at);
    return RunOne(*start, "start of an attempt at", row.stage.value());
  }

  absl::Status operator()(const change::AttemptReattached& row) {
    BITSWEEP_ASSIGN_OR_RETURN(Statement * attach, database.Prepare(queries::kReattachAttempt));
    attach->Bind(1, row.stage.value()).Bind(2, row.attempt).Bind(3, row.worker.value());
    return RunOne(*attach, "re-attachment of", row.stage.value());
  }

  absl::Status operator()(const change::AttemptEnded& row) {
    BITSWEEP_ASSIGN_OR_RETURN(Statement * end, database.Prepare(queries::kEndAttempt));
    end->Bind(1, row.stage.value()).Bind(2, row.attempt).Bind(3, bitsweep::ToString(row.state));
    if (row.failure) {
      end->Bind(4, bitsweep::ToString(*row.failure));
    }
    end->Bind(5, row.message).Bind(6, row.log_tail).Bind(7, row.build);
    end->Bind(8, row.peak_host_bytes).Bind(9, row.peak_gpu_bytes).Bind(10, row.final);
    end->Bind(11, row.at);
    return RunOne(*end, "end of an attempt at", row.stage.value());
  }

  absl::Status SetSummary(const StageKey& stage, const std::string* summary) {
    BITSWEEP_ASSIGN_OR_RETURN(Statement * set, database.Prepare(queries::kSetSummary));
    set->Bind(1, stage.value());
    if (summary != nullptr) {
      set->Bind(2, *summary);
    }
    return RunOne(*set, "summary of stage", stage.value());
  }

  absl::Status Drop(const Query& query, const StageKey& stage) {
    BITSWEEP_ASSIGN_OR_RETURN(Statement * drop, database.Prepare(query));
    drop->Bind(1, stage.value());
    return drop->Run().status();
  }

  absl::Status operator()(const change::ArtifactPublished& row) {
    BITSWEEP_RETURN_IF_ERROR(Drop(queries::kDropFiles, row.stage));
    std::int64_t position = 0;
    for (const ArtifactFile& file : row.artifact->files) {
      BITSWEEP_ASSIGN_OR_RETURN(Statement * add, database.Prepare(queries::kAddArtifactFile));
      add->Bind(1, row.stage.value()).Bind(2, position++).Bind(3, file.name).Bind(4, file.size);
      add->Bind(5, file.digest.value());
      BITSWEEP_RETURN_IF_ERROR(add->Run().status());
    }
    return SetSummary(row.stage, &row.artifact->summary);
  }

  absl::Status operator()(const change::ArtifactRemoved& row) {
    BITSWEEP_RETURN_IF_ERROR(Drop(queries::kDropFiles, row.stage));
    BITSWEEP_RETURN_IF_ERROR(Drop(queries::kDropVerdicts, row.stage));
    return SetSummary(row.stage, nullptr);
  }

  absl::Status operator()(const change::VerdictsIngested& ingested) {
    BITSWEEP_RETURN_IF_ERROR(Drop(queries::kDropVerdicts, ingested.stage));
    for (const VerdictRow& row : ingested.rows) {
      BITSWEEP_ASSIGN_OR_RETURN(Statement * add, database.Prepare(queries::kAddVerdict));
      add->Bind(1, ingested.stage.value()).Bind(2, row.problem).Bind(3, row.sample);
      add->Bind(4, row.verdict).Bind(5, row.passed).Bind(6, row.study_verdict);
      add->Bind(7, row.study_passed).Bind(8, row.cpu_seconds).Bind(9, row.wall_seconds);
      add->Bind(10, row.memory_bytes).Bind(11, row.exit_code).Bind(12, row.signal);
      add->Bind(13, row.isolation).Bind(14, row.witness);
      BITSWEEP_RETURN_IF_ERROR(add->Run().status());
    }
    return absl::OkStatus();
  }

  absl::Status operator()(const change::WorkerAdded& row) {
    const WorkerOffer& offer = row.offer;
    std::vector<std::string> kinds;
    for (const StageKind kind : offer.stages) {
      kinds.emplace_back(bitsweep::ToString(kind));
    }
    std::vector<std::string> gpus;
    for (const GpuOffer& gpu : offer.gpus) {
      gpus.push_back(gpu.name);
    }
    BITSWEEP_ASSIGN_OR_RETURN(Statement * add, database.Prepare(queries::kAddWorker));
    add->Bind(1, row.id.value()).Bind(2, offer.name).Bind(3, offer.version).Bind(4, offer.build);
    add->Bind(5, Joined(kinds)).Bind(6, Joined(gpus)).Bind(7, offer.host_bytes);
    add->Bind(8, offer.cores).Bind(9, offer.slots).Bind(10, offer.isolation);
    // Labels come from a command line: bytes that are not UTF-8 are replaced, not refused.
    add->Bind(11,
              nlohmann::json(offer.labels)
                  .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    add->Bind(12, row.at);
    return add->Run().status();
  }

  absl::Status operator()(const change::WorkerUpdated& row) {
    BITSWEEP_ASSIGN_OR_RETURN(Statement * update, database.Prepare(queries::kUpdateWorker));
    update->Bind(1, row.id.value()).Bind(2, bitsweep::ToString(row.state)).Bind(3, row.last_seen);
    return RunOne(*update, "update of worker", Cat(row.id.value()));
  }

  absl::Status operator()(const change::CountersAdvanced& row) {
    const Counters& counters = row.counters;
    for (const auto& [name, next] : {std::pair("sweep", counters.next_sweep),
                                     std::pair("worker", counters.next_worker),
                                     std::pair("lease", counters.next_lease),
                                     std::pair("stage", counters.next_stage)}) {
      BITSWEEP_ASSIGN_OR_RETURN(Statement * set, database.Prepare(queries::kSetCounter));
      set->Bind(1, name).Bind(2, next);
      BITSWEEP_RETURN_IF_ERROR(set->Run().status());
    }
    return absl::OkStatus();
  }
};

}  // namespace

absl::Status Apply(Database& database, const Change& change) {
  return std::visit(Writer{database}, change);
}

}  // namespace bitsweep
