#include "worker/runtime/attempt.h"

#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>
#include <utility>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include "worker/runtime/files.h"
#include "worker/runtime/stage_spec.h"

#include "proto/base/names.h"
#include "proto/base/status_macros.h"
#include "proto/contract/limits.h"

namespace bitsweep {
namespace {

using nlohmann::json;

std::string LogName(const Fence& fence) {
  return absl::StrCat(fence.stage.value(), "-", fence.attempt, "-", fence.lease.value(), ".log");
}

std::int64_t IntegerMember(const std::string& object, const char* name) {
  const json value = json::parse(object, nullptr, /*allow_exceptions=*/false);
  const auto member = value.find(name);
  return member != value.end() && member->is_number_integer() ? member->get<std::int64_t>() : 0;
}

/// Outputs that later stages read; the others are of use to the coordinator alone.
bool IsRead(StageKind kind) {
  return kind == StageKind::kQuantize || kind == StageKind::kFinetune ||
         kind == StageKind::kGenerate;
}

}  // namespace

Attempt::Attempt(Workshop& workshop,
                 Assignment assignment,
                 std::vector<int> gpus,
                 std::function<void(const StageProgress&)> on_progress,
                 std::stop_token stop)
    : workshop_(workshop),
      assignment_(std::move(assignment)),
      gpus_(std::move(gpus)),
      on_progress_(std::move(on_progress)),
      stop_(std::move(stop)) {}

bool Attempt::IsResumable() const {
  return assignment_.stage.kind == StageKind::kQuantize ||
         assignment_.stage.kind == StageKind::kFinetune;
}

StageEnd Attempt::Run() {
  const Cache::Hold log_hold = workshop_.cache.Take(CacheRoom::kLogs, LogName(assignment_.fence));
  StageLog log(log_hold.path(), kStageLogBytesMax, kLogTailBytes);
  const Cache::Hold stage =
      workshop_.cache.Take(CacheRoom::kStages, assignment_.fence.stage.value());
  if (Step step = PrepareFolder(stage.path())) {
    return Fail(*step, log);
  }
  StageEnd end = RunLogged(log);
  if (!IsResumable() || std::holds_alternative<StageSucceeded>(end)) {
    RemoveAll(stage.path());
  } else {
    RemoveAll(scratch_folder_);
  }
  return end;
}

Attempt::Step Attempt::PrepareFolder(const std::string& stage_folder) {
  if (!IsResumable()) {
    RemoveAll(stage_folder);
  }
  output_folder_ = stage_folder + "/output";
  scratch_folder_ = absl::StrCat(stage_folder, "/attempt-", assignment_.fence.attempt);
  RemoveAll(scratch_folder_);
  absl::Status status = MakeFolder(output_folder_);
  status.Update(MakeFolder(scratch_folder_));
  return status.ok() ? Step() : FailureOf(status, "making the stage's folder");
}

StageEnd Attempt::RunLogged(StageLog& log) {
  if (Step step = FetchInputs(log)) {
    return Fail(*step, log);
  }
  absl::StatusOr<json> spec = LocalSpec(assignment_, paths_, output_folder_);
  if (!spec.ok()) {
    return Fail(FailureOf(spec.status(), "making the spec"), log);
  }
  const ChildOutcome outcome = RunTool(*spec, scratch_folder_ + "/spec.json", log);
  if (outcome.kind == ChildOutcome::Kind::kCancelled) {
    return StageDropped{assignment_.fence};
  }
  if (outcome.kind == ChildOutcome::Kind::kFailed) {
    return Fail({outcome.failure, outcome.message}, log);
  }
  ArtifactManifest manifest{.files = {}, .summary = outcome.summary};
  if (Step step = Publish(manifest)) {
    return Fail(*step, log);
  }
  return StageSucceeded{.fence = assignment_.fence,
                        .artifact = std::move(manifest),
                        .peak_host_bytes = outcome.peak_bytes,
                        .peak_gpu_bytes = IntegerMember(outcome.summary, "peak_gpu_bytes"),
                        .build = outcome.build,
                        .log_tail = log.Tail()};
}

StageEnd Attempt::Fail(const Failure& failure, const StageLog& log) const {
  if (stop_.stop_requested()) {
    return StageDropped{assignment_.fence};
  }
  return StageFailed{.fence = assignment_.fence,
                     .failure = failure.failure,
                     .message = failure.message,
                     .log_tail = log.Tail()};
}

Attempt::Failure Attempt::FailureOf(const absl::Status& status, const std::string& doing) const {
  FailureClass failure = FailureClass::kBug;
  if (absl::IsResourceExhausted(status)) {
    failure = FailureClass::kDiskFull;
  } else if (absl::IsNotFound(status) || absl::IsInvalidArgument(status) ||
             absl::IsDataLoss(status)) {
    failure = FailureClass::kBadInput;
  }
  return {failure, absl::StrCat(doing, ": ", std::string(status.message()))};
}

void Attempt::Report(const std::string& phase,
                     std::int64_t done,
                     std::int64_t total,
                     const std::string& unit) const {
  on_progress_(
      {.fence = assignment_.fence, .phase = phase, .unit = unit, .done = done, .total = total});
}

Attempt::Step Attempt::FetchInputs(StageLog& log) {
  for (const StageInput& input : assignment_.stage.inputs) {
    if (Step step = FetchInput(input, log)) {
      return step;
    }
  }
  return std::nullopt;
}

Attempt::Step Attempt::FetchInput(const StageInput& input, StageLog& log) {
  if (input.source == StageInput::Source::kModelPath) {
    return FindModel(input, log);
  }
  absl::StatusOr<Cache::Hold> hold = FetchBytes(input);
  if (!hold.ok()) {
    return FailureOf(hold.status(), absl::StrCat("fetching ", input.pointer));
  }
  paths_[input.pointer] = hold->path();
  if (input.source == StageInput::Source::kArtifact) {
    paths_[input.pointer] += kArtifactFilesFolder + (input.file.empty() ? "" : "/" + input.file);
  }
  holds_.push_back(*std::move(hold));
  return std::nullopt;
}

absl::StatusOr<Cache::Hold> Attempt::FetchBytes(const StageInput& input) {
  const auto moved = [this](std::int64_t done, std::int64_t total) {
    Report("fetch", done, total, "bytes");
  };
  if (input.source == StageInput::Source::kBlob) {
    return workshop_.transfers.Blob(Digest(input.value), moved, stop_);
  }
  const auto manifest = assignment_.artifacts.find(input.value);
  if (manifest == assignment_.artifacts.end()) {
    return absl::InternalError(absl::StrCat("no manifest of the artifact of stage ", input.value));
  }
  return workshop_.transfers.Artifact(StageKey(input.value), manifest->second, moved, stop_);
}

Attempt::Step Attempt::FindModel(const StageInput& input, StageLog& log) {
  const absl::StatusOr<std::string> folder = workshop_.models.Find(input.value);
  if (!folder.ok()) {
    return FailureOf(folder.status(), "finding the model");
  }
  paths_[input.pointer] = *folder;
  if (assignment_.stage.kind == StageKind::kInspect) {
    inspected_folder_ = *folder;
    inspected_before_ = Models::StampsOf(*folder);
  }
  return input.digest.empty() ? Step() : CheckModel(input.value, *folder, input.digest, log);
}

Attempt::Step Attempt::CheckModel(const std::string& model,
                                  const std::string& folder,
                                  const std::string& expected,
                                  StageLog& log) {
  std::string found = workshop_.models.KnownDigest(folder);
  if (found.empty()) {
    Step step;
    absl::StatusOr<std::string> digest = InspectDigest(folder, log, step);
    if (step) {
      return step;
    }
    if (!digest.ok()) {
      return FailureOf(digest.status(), "hashing the model");
    }
    found = *digest;
  }
  if (found != expected) {
    return Failure{FailureClass::kBadInput,
                   absl::StrCat("model ",
                                model,
                                " at ",
                                folder,
                                " was changed since the sweep was ",
                                "planned: expected digest ",
                                expected,
                                ", found ",
                                found)};
  }
  return std::nullopt;
}

absl::StatusOr<std::string> Attempt::InspectDigest(const std::string& folder,
                                                   StageLog& log,
                                                   Step& step) {
  const std::string output = scratch_folder_ + "/inspect";
  BITSWEEP_RETURN_IF_ERROR(MakeFolder(output));
  const Models::Stamps before = Models::StampsOf(folder);
  log.Line("[agent] the model's identity is not known here: hashing it");
  const ChildOutcome outcome =
      RunTool(InspectSpec(assignment_, folder, output), scratch_folder_ + "/inspect.json", log);
  if (outcome.kind != ChildOutcome::Kind::kDone) {
    step = Failure{outcome.failure, absl::StrCat("hashing the model: ", outcome.message)};
    return absl::CancelledError("the child failed");
  }
  BITSWEEP_ASSIGN_OR_RETURN(const std::string text, ReadFile(output + "/manifest.json"));
  const json manifest = json::parse(text, nullptr, /*allow_exceptions=*/false);
  const std::string digest = manifest.is_object() ? manifest.value("digest", "") : "";
  if (!IsHexDigest(digest)) {
    return absl::InternalError("manifest.json has no digest");
  }
  workshop_.models.Remember(folder, digest, before);
  return digest;
}

ChildOutcome Attempt::RunTool(const json& spec, const std::string& spec_path, StageLog& log) {
  const bool is_grade = assignment_.stage.kind == StageKind::kGrade;
  const std::string& tool = is_grade ? workshop_.grader : workshop_.engine;
  ChildOutcome outcome;
  if (tool.empty()) {
    outcome.message = is_grade ? "this worker has no grader" : "this worker has no engine";
    return outcome;
  }
  if (const absl::Status status = WriteFileDurably(spec_path, spec.dump(2)); !status.ok()) {
    const Failure failure = FailureOf(status, "writing the spec");
    outcome.failure = failure.failure;
    outcome.message = failure.message;
    return outcome;
  }
  ChildOptions options{.argv = {tool, is_grade ? "run-spec" : "run", spec_path},
                       .environment = {{"OMP_NUM_THREADS", std::to_string(assignment_.cores)}},
                       .hang_after = workshop_.hang_after,
                       .grace = workshop_.grace,
                       .exit_grace = kExitGrace};
  if (!gpus_.empty()) {
    options.environment["CUDA_VISIBLE_DEVICES"] = absl::StrJoin(gpus_, ",");
  } else {
    options.environment["CUDA_VISIBLE_DEVICES"] = "";
  }
  return RunChild(
      options,
      workshop_.children,
      log,
      [this](const ProgressEvent& event) {
        Report(event.phase, event.done, event.total, event.unit);
      },
      stop_);
}

Attempt::Step Attempt::Publish(ArtifactManifest& manifest) {
  absl::StatusOr<std::vector<ArtifactFile>> files = Transfers::HashFiles(output_folder_, stop_);
  if (!files.ok()) {
    return FailureOf(files.status(), "hashing the output");
  }
  manifest.files = *std::move(files);
  const auto moved = [this](std::int64_t done, std::int64_t total) {
    Report("upload", done, total, "bytes");
  };
  if (const absl::Status status =
          workshop_.transfers.Upload(output_folder_, manifest.files, moved, stop_);
      !status.ok()) {
    return Failure{absl::IsResourceExhausted(status) ? FailureClass::kDiskFull : FailureClass::kBug,
                   absl::StrCat("uploading the output: ", status.ToString())};
  }
  if (assignment_.stage.kind == StageKind::kInspect) {
    const absl::StatusOr<std::string> text = ReadFile(output_folder_ + "/manifest.json");
    const json value = json::parse(text.value_or(""), nullptr, /*allow_exceptions=*/false);
    if (value.is_object() && IsHexDigest(value.value("digest", ""))) {
      workshop_.models.Remember(inspected_folder_, value.value("digest", ""), inspected_before_);
    }
  }
  if (IsRead(assignment_.stage.kind)) {
    if (const absl::Status status =
            workshop_.transfers.Keep(assignment_.fence.stage, output_folder_, manifest.files);
        !status.ok()) {
      // The coordinator has everything; the next stage here will fetch it.
      spdlog::warn("the artifact of stage {} is not kept here: {}",
                   assignment_.fence.stage.value(),
                   status.ToString());
    }
  }
  return std::nullopt;
}

}  // namespace bitsweep
