#include "coordinator/study/plan.h"

#include <algorithm>

#include <absl/strings/str_cat.h>

#include "coordinator/study/cells.h"
#include "coordinator/study/chain.h"

#include "proto/base/status_macros.h"

namespace bitsweep {
namespace {

/// Every file that the sweep names has facts, and every benchmark file a number of problems.
absl::Status CheckFacts(const SweepSpec& spec, const FileFactsByPath& files) {
  for (const ReferencedFile& reference : ReferencedFiles(spec)) {
    const auto found = files.find(reference.path);
    if (found == files.end() || found->second.digest.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(reference.place, ": file '", reference.path, "' was not sent"));
    }
    if (reference.role == ReferencedFile::Role::kBenchmark && !found->second.problems) {
      return absl::InvalidArgumentError(absl::StrCat(
          reference.place, ": the problems of '", reference.path, "' were not counted"));
    }
  }
  return absl::OkStatus();
}

CellDefinition MakeCell(const SweepSpec& spec, const FileFactsByPath& files, const GridCell& grid) {
  const ModelSpec& model = *spec.FindModel(grid.at.variant.model);
  const BenchmarkSpec& benchmark = *spec.FindBenchmark(grid.at.benchmark);
  CellDefinition cell;
  cell.id = CellId(grid.at);
  cell.model = model.id;
  cell.family = model.family;
  cell.params = model.params;
  cell.precision = grid.at.variant.precision;
  cell.calibration = grid.at.variant.calibration;
  cell.finetuned = grid.at.variant.finetuned;
  cell.benchmark = grid.at.benchmark;
  cell.language = grid.at.language;
  cell.seed = grid.at.variant.seed;
  cell.samples = benchmark.sampling.samples;
  cell.questions = grid.questions;
  for (const BenchmarkFileSpec& file : benchmark.files) {
    if (file.language == grid.at.language) {
      cell.problems = files.at(file.path).problems.value_or(0);
    }
  }
  return cell;
}

absl::Status CheckVariant(const SweepSpec& spec,
                          const ModelLeaf& model,
                          bool quantized,
                          const CellCoordinates& at) {
  const PrecisionSpec* precision = spec.FindPrecision(at.variant.precision);
  if (precision == nullptr) {
    return absl::OkStatus();
  }
  if (quantized) {
    return absl::InvalidArgumentError(absl::StrCat("model '",
                                                   at.variant.model,
                                                   "' (",
                                                   model.path,
                                                   ") is already quantized; precision '",
                                                   precision->label,
                                                   "' needs a full-precision model"));
  }
  if (absl::Status status = CheckGroups(*model.shape, *precision); !status.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("model '", at.variant.model, "' (", model.path, "): ", status.message()));
  }
  return absl::OkStatus();
}

}  // namespace

Numerics DefaultNumerics(bool gpu_connected) {
  return gpu_connected ? Numerics{"cuda", "f16"} : Numerics{"cpu", "f32"};
}

absl::StatusOr<SweepPlan> PlanSweep(const SweepSpec& spec,
                                    const FileFactsByPath& files,
                                    const PlanOptions& options) {
  BITSWEEP_RETURN_IF_ERROR(CheckFacts(spec, files));
  SweepPlan plan;
  std::map<std::string, StageKey> inspects;
  for (const GridCell& grid : ExpandGrid(spec)) {
    const std::string& path = spec.FindModel(grid.at.variant.model)->path;
    auto inspect = inspects.find(path);
    if (inspect == inspects.end()) {
      plan.stages.push_back(InspectStage(path, options));
      inspect = inspects.emplace(path, plan.stages.back().key).first;
    }
    plan.cells.push_back(MakeCell(spec, files, grid));
    plan.cells.back().inspect = inspect->second;
  }
  return plan;
}

absl::StatusOr<SweepPlan> PlanModel(const SweepSpec& spec,
                                    const FileFactsByPath& files,
                                    const PlanOptions& options,
                                    const std::string& model_path,
                                    const ModelManifest& manifest) {
  BITSWEEP_RETURN_IF_ERROR(CheckFacts(spec, files));
  if (std::none_of(spec.models.begin(), spec.models.end(), [&](const ModelSpec& model) {
        return model.path == model_path;
      })) {
    return absl::NotFoundError(
        absl::StrCat("no model of sweep '", spec.name, "' lies at '", model_path, "'"));
  }
  ModelLeaf leaf{model_path, manifest.digest, manifest.bytes, std::nullopt};
  BITSWEEP_ASSIGN_OR_RETURN(
      leaf.shape, ParseModelShape(manifest.config_json, absl::StrCat(model_path, "/config.json")));
  const nlohmann::json config =
      nlohmann::json::parse(manifest.config_json, nullptr, /*allow_exceptions=*/false);
  const bool quantized =
      config.contains("quantization_config") && !config["quantization_config"].is_null();
  const StageKey inspect = InspectStage(model_path, options).key;
  SweepPlan plan;
  ChainBuilder chains(spec, files, spec.numerics.value_or(options.numerics), plan);
  for (const GridCell& grid : ExpandGrid(spec)) {
    if (spec.FindModel(grid.at.variant.model)->path != model_path) {
      continue;
    }
    BITSWEEP_RETURN_IF_ERROR(CheckVariant(spec, leaf, quantized, grid.at));
    CellDefinition cell = MakeCell(spec, files, grid);
    cell.inspect = inspect;
    chains.Complete(leaf, grid.at, cell);
    plan.cells.push_back(std::move(cell));
  }
  return plan;
}

absl::StatusOr<ModelManifest> ParseModelManifest(std::string_view manifest_json) {
  constexpr std::size_t kDigestDigits = 64;
  const nlohmann::json json =
      nlohmann::json::parse(manifest_json, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return absl::InvalidArgumentError("manifest.json: not a JSON object");
  }
  const auto has = [&](const char* key, auto is) { return json.contains(key) && is(json[key]); };
  const auto is_count = [](const nlohmann::json& value) {
    return value.is_number_integer() && value.get<std::int64_t>() >= 0;
  };
  for (const char* key : {"parameters", "bytes"}) {
    if (!has(key, is_count)) {
      return absl::InvalidArgumentError(
          absl::StrCat("manifest.json: ", key, ": a count is needed"));
    }
  }
  if (!has("digest", [](const nlohmann::json& value) {
        return value.is_string() && value.get_ref<const std::string&>().size() == kDigestDigits;
      })) {
    return absl::InvalidArgumentError("manifest.json: digest: 64 hexadecimal digits are needed");
  }
  if (!has("config", [](const nlohmann::json& value) { return value.is_object(); })) {
    return absl::InvalidArgumentError("manifest.json: config: an object is needed");
  }
  return ModelManifest{json["digest"].get<std::string>(),
                       json["config"].dump(),
                       json["parameters"].get<std::int64_t>(),
                       json["bytes"].get<std::int64_t>()};
}

}  // namespace bitsweep
