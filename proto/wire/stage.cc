#include "proto/wire/stage.h"

#include <algorithm>
#include <array>
#include <set>

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include "proto/base/names.h"
#include "proto/base/status_macros.h"
#include "proto/wire/checks.h"

namespace bitsweep::wire {
namespace {

template <typename Domain, typename Wire>
struct Pair {
  Domain domain;
  Wire wire;
};

constexpr std::array kKinds = {
    Pair<StageKind, v1::StageKind>{StageKind::kInspect, v1::STAGE_KIND_INSPECT},
    Pair<StageKind, v1::StageKind>{StageKind::kQuantize, v1::STAGE_KIND_QUANTIZE},
    Pair<StageKind, v1::StageKind>{StageKind::kFinetune, v1::STAGE_KIND_FINETUNE},
    Pair<StageKind, v1::StageKind>{StageKind::kGenerate, v1::STAGE_KIND_GENERATE},
    Pair<StageKind, v1::StageKind>{StageKind::kGrade, v1::STAGE_KIND_GRADE},
};
static_assert(kKinds.size() == kStageKinds.size());
static_assert(kKinds.size() == v1::StageKind_ARRAYSIZE - 1);

constexpr std::array kFailures = {
    Pair<FailureClass, v1::FailureClass>{FailureClass::kWorkerLost, v1::FAILURE_CLASS_WORKER_LOST},
    Pair<FailureClass, v1::FailureClass>{FailureClass::kPreempted, v1::FAILURE_CLASS_PREEMPTED},
    Pair<FailureClass, v1::FailureClass>{FailureClass::kOomGpu, v1::FAILURE_CLASS_OOM_GPU},
    Pair<FailureClass, v1::FailureClass>{FailureClass::kOomHost, v1::FAILURE_CLASS_OOM_HOST},
    Pair<FailureClass, v1::FailureClass>{FailureClass::kDiskFull, v1::FAILURE_CLASS_DISK_FULL},
    Pair<FailureClass, v1::FailureClass>{FailureClass::kTimeout, v1::FAILURE_CLASS_TIMEOUT},
    Pair<FailureClass, v1::FailureClass>{FailureClass::kHang, v1::FAILURE_CLASS_HANG},
    Pair<FailureClass, v1::FailureClass>{FailureClass::kDiverged, v1::FAILURE_CLASS_DIVERGED},
    Pair<FailureClass, v1::FailureClass>{FailureClass::kBadInput, v1::FAILURE_CLASS_BAD_INPUT},
    Pair<FailureClass, v1::FailureClass>{FailureClass::kSandbox, v1::FAILURE_CLASS_SANDBOX},
    Pair<FailureClass, v1::FailureClass>{FailureClass::kBug, v1::FAILURE_CLASS_BUG},
};
static_assert(kFailures.size() == kFailureClasses.size());
static_assert(kFailures.size() == v1::FailureClass_ARRAYSIZE - 1);

using Source = StageInput::Source;
constexpr std::array kSources = {
    Pair<Source, v1::StageInput::Source>{Source::kModelPath, v1::StageInput::SOURCE_MODEL_PATH},
    Pair<Source, v1::StageInput::Source>{Source::kBlob, v1::StageInput::SOURCE_BLOB},
    Pair<Source, v1::StageInput::Source>{Source::kArtifact, v1::StageInput::SOURCE_ARTIFACT},
};

template <typename Domain, typename Table, typename Wire>
absl::StatusOr<Domain> DomainOf(const Table& table, const char* member, Wire wire) {
  for (const auto& row : table) {
    if (row.wire == wire) {
      return row.domain;
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat(member, ": ", static_cast<int>(wire), " is not a value that this build knows"));
}

template <typename Wire, typename Table, typename Domain>
Wire WireOf(const Table& table, Domain domain) {
  for (const auto& row : table) {
    if (row.domain == domain) {
      return row.wire;
    }
  }
  return static_cast<Wire>(0);
}

absl::Status CheckPath(const char* member, const std::string& path) {
  if (absl::Status status = CheckRelativePath(path); !status.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(member, ": ", status.message()));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<StageKind> FromProto(v1::StageKind kind) {
  return DomainOf<StageKind>(kKinds, "stage kind", kind);
}
v1::StageKind ToProto(StageKind kind) {
  return WireOf<v1::StageKind>(kKinds, kind);
}

absl::StatusOr<FailureClass> FromProto(v1::FailureClass failure) {
  return DomainOf<FailureClass>(kFailures, "failure class", failure);
}
v1::FailureClass ToProto(FailureClass failure) {
  return WireOf<v1::FailureClass>(kFailures, failure);
}

absl::StatusOr<ArtifactManifest> FromProto(const v1::ArtifactManifest& message) {
  ArtifactManifest manifest;
  std::set<std::string_view> names;
  for (const v1::ArtifactFile& file : message.files()) {
    BITSWEEP_RETURN_IF_ERROR(CheckPath("artifact file", file.name()));
    BITSWEEP_RETURN_IF_ERROR(CheckNotNegative("artifact file size", file.size()));
    BITSWEEP_ASSIGN_OR_RETURN(Digest digest, DigestFrom("artifact file sha256", file.sha256()));
    if (!names.insert(file.name()).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("artifact file: ", file.name(), " appears twice"));
    }
    manifest.files.push_back(
        {.name = file.name(), .size = file.size(), .digest = std::move(digest)});
  }
  BITSWEEP_RETURN_IF_ERROR(CheckJsonObject("artifact summary", message.summary_json()));
  manifest.summary = message.summary_json();
  return manifest;
}

v1::ArtifactManifest ToProto(const ArtifactManifest& manifest) {
  v1::ArtifactManifest message;
  for (const ArtifactFile& file : manifest.files) {
    v1::ArtifactFile& out = *message.add_files();
    out.set_name(file.name);
    out.set_size(file.size);
    out.set_sha256(file.digest.value());
  }
  message.set_summary_json(ToUtf8(manifest.summary));
  return message;
}

absl::StatusOr<StageNeeds> FromProto(const v1::StageNeeds& message) {
  if (message.device() != "cpu" && message.device() != "cuda") {
    return absl::InvalidArgumentError(
        absl::StrCat("needs.device: \"", message.device(), "\" is neither cpu nor cuda"));
  }
  BITSWEEP_RETURN_IF_ERROR(CheckNotNegative("needs.semantics", message.semantics()));
  BITSWEEP_RETURN_IF_ERROR(CheckNotNegative("needs.gpus", message.gpus()));
  BITSWEEP_RETURN_IF_ERROR(CheckNotNegative("needs.gpu_bytes", message.gpu_bytes()));
  BITSWEEP_RETURN_IF_ERROR(CheckNotNegative("needs.host_bytes", message.host_bytes()));
  BITSWEEP_RETURN_IF_ERROR(CheckNotNegative("needs.cores", message.cores()));
  BITSWEEP_RETURN_IF_ERROR(CheckNotNegative("needs.disk_bytes", message.disk_bytes()));
  for (const std::string& path : message.model_paths()) {
    BITSWEEP_RETURN_IF_ERROR(CheckPath("needs.model_paths", path));
  }
  return StageNeeds{
      .semantics = message.semantics(),
      .device = message.device(),
      .gpus = message.gpus(),
      .gpu_bytes = message.gpu_bytes(),
      .host_bytes = message.host_bytes(),
      .cores = message.cores(),
      .disk_bytes = message.disk_bytes(),
      .isolation = message.isolation(),
      .model_paths = {message.model_paths().begin(), message.model_paths().end()},
  };
}

v1::StageNeeds ToProto(const StageNeeds& needs) {
  v1::StageNeeds message;
  message.set_semantics(needs.semantics);
  message.set_device(needs.device);
  message.set_gpus(needs.gpus);
  message.set_gpu_bytes(needs.gpu_bytes);
  message.set_host_bytes(needs.host_bytes);
  message.set_cores(needs.cores);
  message.set_disk_bytes(needs.disk_bytes);
  message.set_isolation(needs.isolation);
  message.mutable_model_paths()->Add(needs.model_paths.begin(), needs.model_paths.end());
  return message;
}

absl::StatusOr<StageInput> FromProto(const v1::StageInput& message) {
  if (!absl::StartsWith(message.pointer(), "/")) {
    return absl::InvalidArgumentError(
        absl::StrCat("input pointer: \"", message.pointer(), "\" does not begin with \"/\""));
  }
  BITSWEEP_ASSIGN_OR_RETURN(const Source source,
                            DomainOf<Source>(kSources, "input source", message.source()));
  switch (source) {
    case Source::kModelPath:
      BITSWEEP_RETURN_IF_ERROR(CheckPath("input model path", message.value()));
      break;
    case Source::kBlob:
      BITSWEEP_RETURN_IF_ERROR(DigestFrom("input blob", message.value()).status());
      break;
    case Source::kArtifact:
      BITSWEEP_RETURN_IF_ERROR(KeyFrom("input artifact", message.value()).status());
      if (!message.file().empty()) {
        BITSWEEP_RETURN_IF_ERROR(CheckPath("input artifact file", message.file()));
      }
      break;
  }
  if (!message.digest().empty()) {
    BITSWEEP_RETURN_IF_ERROR(DigestFrom("input digest", message.digest()).status());
  }
  return StageInput{.pointer = message.pointer(),
                    .source = source,
                    .value = message.value(),
                    .file = message.file(),
                    .digest = message.digest()};
}

v1::StageInput ToProto(const StageInput& input) {
  v1::StageInput message;
  message.set_pointer(input.pointer);
  message.set_source(WireOf<v1::StageInput::Source>(kSources, input.source));
  message.set_value(input.value);
  message.set_file(input.file);
  message.set_digest(input.digest);
  return message;
}

absl::StatusOr<StageDefinition> FromProto(const v1::StageDefinition& message) {
  StageDefinition stage;
  BITSWEEP_ASSIGN_OR_RETURN(stage.key, KeyFrom("stage key", message.key()));
  BITSWEEP_ASSIGN_OR_RETURN(stage.kind, FromProto(message.kind()));
  BITSWEEP_RETURN_IF_ERROR(CheckJsonObject("stage parameters", message.parameters_json()));
  BITSWEEP_RETURN_IF_ERROR(CheckJsonObject("stage spec", message.spec_json()));
  for (const std::string& upstream : message.upstream()) {
    BITSWEEP_ASSIGN_OR_RETURN(StageKey key, KeyFrom("stage upstream", upstream));
    stage.upstream.push_back(std::move(key));
  }
  for (const v1::StageInput& wire : message.inputs()) {
    BITSWEEP_ASSIGN_OR_RETURN(StageInput input, FromProto(wire));
    const bool known = std::any_of(stage.upstream.begin(),
                                   stage.upstream.end(),
                                   [&](const StageKey& key) { return key.value() == input.value; });
    if (input.source == Source::kArtifact && !known) {
      return absl::InvalidArgumentError(
          absl::StrCat("input ", input.pointer, ": stage ", input.value, " is not upstream"));
    }
    stage.inputs.push_back(std::move(input));
  }
  BITSWEEP_ASSIGN_OR_RETURN(stage.needs, FromProto(message.needs()));
  stage.label = message.label();
  stage.parameters = message.parameters_json();
  stage.spec = message.spec_json();
  stage.cost_estimate = message.cost_estimate();
  return stage;
}

v1::StageDefinition ToProto(const StageDefinition& stage) {
  v1::StageDefinition message;
  message.set_key(stage.key.value());
  message.set_kind(ToProto(stage.kind));
  message.set_label(ToUtf8(stage.label));
  message.set_parameters_json(stage.parameters);
  message.set_spec_json(stage.spec);
  for (const StageKey& key : stage.upstream) {
    message.add_upstream(key.value());
  }
  for (const StageInput& input : stage.inputs) {
    *message.add_inputs() = ToProto(input);
  }
  *message.mutable_needs() = ToProto(stage.needs);
  message.set_cost_estimate(stage.cost_estimate);
  return message;
}

}  // namespace bitsweep::wire
