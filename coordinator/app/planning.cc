// The parts of Coordinator that turn submitted files into plans.

#include <algorithm>

#include <absl/strings/str_cat.h>
#include <spdlog/spdlog.h>

#include "coordinator/app/coordinator.h"
#include "coordinator/domain/handlers.h"
#include "coordinator/domain/status.h"
#include "coordinator/outcomes/imported_sweep.h"
#include "proto/base/status_macros.h"
#include "proto/contract/limits.h"

namespace bitsweep {
namespace {

// A manifest lists the files of one model; the largest has some hundred shards.
constexpr std::int64_t kManifestBytesMax = 16 << 20;
constexpr const char* kManifestFile = "manifest.json";

const ArtifactFile* FindFile(const ArtifactManifest& artifact, std::string_view name) {
  const auto found = std::find_if(artifact.files.begin(), artifact.files.end(),
                                  [&](const ArtifactFile& file) { return file.name == name; });
  return found == artifact.files.end() ? nullptr : &*found;
}

/// The path below --model-root that an inspect stage looks at.
std::string ModelPathOf(const StageDefinition& inspect) {
  for (const StageInput& input : inspect.inputs) {
    if (input.source == StageInput::Source::kModelPath) {
      return input.value;
    }
  }
  return "";
}

}  // namespace

absl::StatusOr<FileFactsByPath> Coordinator::FactsOf(const SweepSpec& spec, const std::map<std::string, Digest>& files) {
  for (const ReferencedFile& file : ReferencedFiles(spec)) {
    const auto found = files.find(file.path);
    if (found == files.end()) {
      return absl::InvalidArgumentError(absl::StrCat(file.place, ": ", file.path, " was not sent with the sweep"));
    }
    if (!blobs_->Has(found->second)) {
      return absl::FailedPreconditionError(absl::StrCat(file.place, ": the bytes of ", file.path, " (sha256 ",
                                                        found->second.value(), ") are not here; upload them first"));
    }
  }
  return CheckFiles(spec, [&](const std::string& path) { return blobs_->Path(files.at(path)); });
}

absl::StatusOr<std::shared_ptr<const PlannedInputs>> Coordinator::InputsOf(SweepId sweep, const Submission& submission) {
  {
    const std::lock_guard<std::mutex> lock(inputs_mutex_);
    if (const auto found = inputs_.find(sweep); found != inputs_.end()) {
      return found->second;
    }
  }
  auto inputs = std::make_shared<PlannedInputs>();
  if (IsImportedSpec(submission.spec_text)) {
    BITSWEEP_ASSIGN_OR_RETURN(inputs->spec, ParseImportedSpec(submission.spec_text));
  } else {
    BITSWEEP_ASSIGN_OR_RETURN(inputs->spec,
                              ParseSweep(submission.spec_text, submission.file_name, submission.settings));
    BITSWEEP_ASSIGN_OR_RETURN(inputs->files, FactsOf(inputs->spec, submission.files));
  }
  inputs->options = {submission.request_id, {submission.device, submission.dtype}};
  const std::lock_guard<std::mutex> lock(inputs_mutex_);
  return inputs_.emplace(sweep, std::move(inputs)).first->second;
}

absl::StatusOr<ModelManifest> Coordinator::ManifestOf(const ArtifactManifest& artifact) {
  const ArtifactFile* file = FindFile(artifact, kManifestFile);
  if (file == nullptr) {
    return absl::InternalError("the inspect stage published no manifest.json");
  }
  BITSWEEP_ASSIGN_OR_RETURN(const std::string text, blobs_->ReadAll(file->digest, kManifestBytesMax));
  return ParseModelManifest(text);
}

void Coordinator::PlanInspected(const Effects::PlanModel& request, Core& core) {
  const Sweep* sweep = core.FindSweep(request.sweep);
  const Stage* inspect = core.FindStage(request.inspect);
  if (sweep == nullptr || inspect == nullptr || !inspect->artifact()) {
    return;  // Cancelled or invalidated since; a retry asks again.
  }
  const auto plan = [&]() -> absl::StatusOr<SweepPlan> {
    BITSWEEP_ASSIGN_OR_RETURN(const ModelManifest manifest, ManifestOf(*inspect->artifact()));
    BITSWEEP_ASSIGN_OR_RETURN(const std::shared_ptr<const PlannedInputs> inputs,
                              InputsOf(request.sweep, sweep->submission));
    return PlanModel(inputs->spec, inputs->files, inputs->options, ModelPathOf(inspect->definition()), manifest);
  }();
  // Posted rather than done here: the effects of the batch that is being carried out are already committed.
  strand_->Post([request, plan](Context& context) -> CoreStrand::Completion {
    absl::Status status = plan.status();
    if (plan.ok()) {
      status = OnModelPlanned(context.core, context.out, request.sweep, request.inspect, *plan, context.now);
    }
    if (!status.ok()) {
      spdlog::error("sweep {}: a model cannot be planned: {}", request.sweep.value(), status.ToString());
      // NOT_FOUND: the sweep has gone meanwhile, and so has whoever would read the message.
      OnPlanFailed(context.core, context.out, request.sweep, request.inspect, std::string(status.message()),
                   context.now)
          .IgnoreError();
    }
    return {};
  });
}

absl::StatusOr<SubmitReceipt> Coordinator::Submit(const SubmitCommand& command) {
  const SweepSource& source = command.source;
  // A repeated request must succeed even where its files have been removed since.
  const std::optional<SubmitReceipt> known =
      strand_->Call<std::optional<SubmitReceipt>>([&](Context& context) -> std::optional<SubmitReceipt> {
        const auto found = context.core.sweep_of_request.find(command.request_id);
        if (found == context.core.sweep_of_request.end()) {
          return std::nullopt;
        }
        const Sweep& sweep = *context.core.sweeps.at(found->second);
        return SubmitReceipt{sweep.id, sweep.submission.name, true, static_cast<int>(sweep.cells.size()),
                             static_cast<int>(sweep.stages.size()), sweep.cached};
      });
  if (known) {
    return *known;
  }
  auto inputs = std::make_shared<PlannedInputs>();
  BITSWEEP_ASSIGN_OR_RETURN(inputs->spec, ParseSweep(source.text, source.file_name, source.settings));
  BITSWEEP_ASSIGN_OR_RETURN(inputs->files, FactsOf(inputs->spec, source.files));
  const bool gpu = strand_->Call<bool>([](Context& context) { return AnyGpuConnected(context.core); });
  inputs->options = {command.request_id, inputs->spec.numerics.value_or(DefaultNumerics(gpu))};
  BITSWEEP_ASSIGN_OR_RETURN(const SweepPlan plan, PlanSweep(inputs->spec, inputs->files, inputs->options));
  Submission submission;
  submission.request_id = command.request_id;
  submission.name = command.name.empty() ? inputs->spec.name : command.name;
  submission.user = command.user;
  submission.priority = command.priority;
  submission.file_name = source.file_name;
  submission.spec_text = source.text;
  submission.settings = source.settings;
  submission.files = source.files;
  submission.device = inputs->options.numerics.device;
  submission.dtype = inputs->options.numerics.dtype;
  absl::StatusOr<SubmitReceipt> receipt =
      strand_->Call<absl::StatusOr<SubmitReceipt>>([&](Context& context) -> absl::StatusOr<SubmitReceipt> {
        absl::StatusOr<SubmitReceipt> result = OnSubmit(context.core, context.out, submission, plan, context.now);
        if (result.ok() && !result->existed) {
          const std::lock_guard<std::mutex> lock(inputs_mutex_);
          inputs_[result->sweep] = inputs;
        }
        return result;
      });
  if (receipt.ok() && !receipt->existed) {
    spdlog::info("sweep {} \"{}\": {} cells, {} stages to inspect models first", receipt->sweep.value(), receipt->name,
                 receipt->cells, receipt->stages);
  }
  return receipt;
}

int Coordinator::CountCached(const SweepSpec& spec, const FileFactsByPath& files, ShapesByModel& shapes) {
  // The newest inspection of each model that succeeded: its manifest gives the keys that a submit would have, if the model has not changed since.
  using Inspections = std::map<std::string, std::pair<std::int64_t, ArtifactManifest>>;
  const Inspections inspections = strand_->Call<Inspections>([](Context& context) {
    Inspections found;
    for (const auto& [key, stage] : context.core.stages) {
      if (stage->kind() == StageKind::kInspect && stage->artifact()) {
        auto& newest = found[ModelPathOf(stage->definition())];
        if (stage->serial() >= newest.first) {
          newest = {stage->serial(), *stage->artifact()};
        }
      }
    }
    return found;
  });
  const bool gpu = strand_->Call<bool>([](Context& context) { return AnyGpuConnected(context.core); });
  const PlanOptions options{"plan", spec.numerics.value_or(DefaultNumerics(gpu))};
  std::vector<StageKey> keys;
  for (const ModelSpec& model : spec.models) {
    const auto inspection = inspections.find(model.path);
    if (inspection == inspections.end()) {
      continue;
    }
    const absl::StatusOr<ModelManifest> manifest = ManifestOf(inspection->second.second);
    if (!manifest.ok()) {
      continue;
    }
    if (absl::StatusOr<ModelShape> shape = ParseModelShape(manifest->config_json, model.path); shape.ok()) {
      shapes[model.id] = *shape;
    }
    if (const absl::StatusOr<SweepPlan> plan = PlanModel(spec, files, options, model.path, *manifest); plan.ok()) {
      for (const StageDefinition& stage : plan->stages) {
        keys.push_back(stage.key);
      }
    }
  }
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  return strand_->Call<int>([&](Context& context) {
    return static_cast<int>(std::count_if(keys.begin(), keys.end(), [&](const StageKey& key) {
      const Stage* stage = context.core.FindStage(key);
      return stage != nullptr && stage->state() == StageState::kSucceeded;
    }));
  });
}

absl::StatusOr<std::string> Coordinator::Plan(const SweepSource& source) {
  BITSWEEP_ASSIGN_OR_RETURN(const SweepSpec spec, ParseSweep(source.text, source.file_name, source.settings));
  // A plan needs no file: what was not sent is planned by the sweep file's own declarations.
  FileFactsByPath files;
  if (absl::StatusOr<FileFactsByPath> facts = FactsOf(spec, source.files); facts.ok()) {
    files = *std::move(facts);
  }
  ShapesByModel shapes;
  const int cached = CountCached(spec, files, shapes);
  return PlanJson(spec, files, shapes, cached).dump();
}

}  // namespace bitsweep
