#include "coordinator/study/chain.h"

#include <string_view>

#include <absl/strings/str_cat.h>

#include "bitsweep_generated/semantics.h"
#include "coordinator/study/methods.h"

#include "proto/base/digest.h"

namespace bitsweep {
namespace {

using nlohmann::json;

constexpr int kProtocol = 1;

/// The run spec: the common members that the coordinator knows. The agent adds stage, attempt,
/// threads and output.
json CommonSpec(StageKind kind) {
  return {{"protocol", kProtocol},
          {"kind", ToString(kind)},
          {"semantics", SemanticsOf(ToString(kind))}};
}

json SamplingJson(const SamplingSpec& sampling) {
  return {{"samples", sampling.samples},
          {"temperature", sampling.temperature},
          {"top_p", sampling.top_p},
          {"max_tokens_total", sampling.max_tokens_total}};
}

// Defaults that came later are left out, so that what was graded before them keeps its key.
json GradingJson(const BenchmarkSpec& benchmark, std::string_view language) {
  const ProgramLimitsSpec& programs = benchmark.grading.ProgramsOf(language);
  json grading = {{"post_processing", benchmark.post_processing},
                  {"isolation", benchmark.grading.isolation},
                  {"timeout_seconds", programs.timeout_seconds}};
  if (benchmark.grading.tests != GradingSpec().tests) {
    grading["tests"] = benchmark.grading.tests;
  }
  if (!programs.limits.empty()) {
    grading["limits"] = programs.limits;
  }
  return grading;
}

// Of the quantization, and of its windows where the calibration has no seed of its own.
std::uint64_t QuantizeSeed(const PrecisionSpec& precision, std::int64_t variant_seed) {
  return precision.seed.value_or(DeriveSeed({"quantize", std::to_string(variant_seed)}));
}

StageInput ModelInput(const std::string& pointer, const ModelLeaf& model) {
  return {pointer, StageInput::Source::kModelPath, model.path, "", model.digest};
}

StageInput BlobInput(const std::string& pointer, const std::string& digest) {
  return {pointer, StageInput::Source::kBlob, digest, "", digest};
}

StageInput ArtifactInput(const std::string& pointer,
                         const StageKey& upstream,
                         const std::string& file) {
  return {pointer, StageInput::Source::kArtifact, upstream.value(), file, ""};
}

}  // namespace

StageDefinition MakeStage(StageKind kind, const json& parameters, std::vector<StageKey> upstream) {
  json keys = json::array();
  for (const StageKey& key : upstream) {
    keys.push_back(key.value());
  }
  StageDefinition stage;
  stage.kind = kind;
  stage.parameters = CanonicalJson(parameters);
  stage.needs.semantics = SemanticsOf(ToString(kind));
  stage.key = StageKey(Sha256Hex(CanonicalJson({{"kind", ToString(kind)},
                                                {"semantics", stage.needs.semantics},
                                                {"parameters", parameters},
                                                {"upstream", keys}})));
  stage.upstream = std::move(upstream);
  return stage;
}

StageDefinition InspectStage(const std::string& model_path, const PlanOptions& options) {
  StageDefinition stage =
      MakeStage(StageKind::kInspect, {{"path", model_path}, {"nonce", options.request_nonce}}, {});
  json spec = CommonSpec(StageKind::kInspect);
  // The files are only read and hashed; where and in which type the later stages compute does not
  // matter.
  spec["numerics"] = {{"device", "cpu"}, {"dtype", "f32"}};
  spec["model"] = json::object();
  stage.spec = spec.dump();
  stage.label = absl::StrCat("inspect ", model_path);
  stage.inputs = {{"/model/dir", StageInput::Source::kModelPath, model_path, "", ""}};
  stage.needs.model_paths = {model_path};
  return stage;
}

/// Everything that the four makers of stages ask about one cell.
struct ChainBuilder::Context {
  const ModelLeaf& model;
  const CellCoordinates& at;
  const PrecisionSpec* precision;  // nullptr for fp16, as the next two.
  const CalibrationSpec* calibration;
  const FinetuneSpec* finetune;
  const BenchmarkSpec& benchmark;
  const BenchmarkFileSpec& file;

  std::string VariantLabel(bool several_seeds) const {
    std::string label = absl::StrCat(at.variant.model, " ", at.variant.precision);
    for (const std::string& part : {at.variant.calibration, at.variant.finetuned}) {
      if (part != kNone) {
        absl::StrAppend(&label, " ", part);
      }
    }
    return several_seeds ? absl::StrCat(label, " seed ", at.variant.seed) : label;
  }
};

ChainBuilder::ChainBuilder(const SweepSpec& spec,
                           const FileFactsByPath& files,
                           const Numerics& numerics,
                           SweepPlan& plan)
    : spec_(spec), files_(files), numerics_(numerics), plan_(plan) {
  for (const StageDefinition& stage : plan.stages) {
    known_.insert(stage.key);
  }
}

void ChainBuilder::Complete(const ModelLeaf& model,
                            const CellCoordinates& at,
                            CellDefinition& cell) {
  const BenchmarkSpec& benchmark = *spec_.FindBenchmark(at.benchmark);
  const BenchmarkFileSpec* file = &benchmark.files.front();
  for (const BenchmarkFileSpec& candidate : benchmark.files) {
    file = candidate.language == at.language ? &candidate : file;
  }
  const Context context{model,
                        at,
                        spec_.FindPrecision(at.variant.precision),
                        spec_.FindCalibration(at.variant.calibration),
                        spec_.FindFinetune(at.variant.finetuned),
                        benchmark,
                        *file};
  std::optional<StageKey> checkpoint;
  if (context.precision != nullptr) {
    cell.quantize = Quantize(context);
    checkpoint = cell.quantize;
  }
  if (context.finetune != nullptr) {
    cell.finetune = Finetune(context, *checkpoint);
    checkpoint = cell.finetune;
  }
  cell.generate = Generate(context, checkpoint);
  cell.grade = Grade(context, *cell.generate);
}

StageKey ChainBuilder::Quantize(const Context& context) {
  const std::uint64_t seed = QuantizeSeed(*context.precision, context.at.variant.seed);
  const json method = QuantizeMethod(*context.precision);
  StageDefinition stage = MakeStage(StageKind::kQuantize,
                                    {{"model", context.model.digest},
                                     {"method", method},
                                     {"calibration", CalibrationJson(*context.calibration, true)},
                                     {"numerics", NumericsJson()},
                                     {"seed", seed}},
                                    {});
  json spec = CommonSpec(StageKind::kQuantize);
  spec["numerics"] = NumericsJson();
  spec["seed"] = seed;
  spec["model"] = json::object();
  spec["method"] = method;
  spec["calibration"] = CalibrationJson(*context.calibration, false);
  stage.spec = spec.dump();
  stage.label =
      absl::StrCat("quantize ",
                   context.at.variant.model,
                   " ",
                   context.at.variant.precision,
                   " ",
                   context.at.variant.calibration,
                   spec_.seeds.size() > 1 ? absl::StrCat(" seed ", context.at.variant.seed) : "");
  stage.inputs = {ModelInput("/model/dir", context.model)};
  for (std::size_t i = 0; i < context.calibration->parts.size(); ++i) {
    stage.inputs.push_back(BlobInput(absl::StrCat("/calibration/parts/", i, "/file"),
                                     DigestOf(context.calibration->parts[i].path)));
  }
  const StageLoad load = LoadOf(context);
  const int semantics = stage.needs.semantics;
  stage.needs = QuantizeNeeds(load, *context.precision, *context.calibration);
  stage.needs.semantics = semantics;
  stage.needs.model_paths = {context.model.path};
  stage.cost_estimate = QuantizeCost(load, *context.precision);
  return Add(std::move(stage));
}

StageKey ChainBuilder::Finetune(const Context& context, const StageKey& quantize) {
  const std::uint64_t seed = DeriveSeed({"finetune", std::to_string(context.at.variant.seed)});
  // On the quantization's own sequences, those held out for validation included.
  CalibrationSpec calibration = *context.calibration;
  calibration.seed =
      calibration.seed.value_or(QuantizeSeed(*context.precision, context.at.variant.seed));
  StageDefinition stage = MakeStage(StageKind::kFinetune,
                                    {{"teacher", context.model.digest},
                                     {"method", FinetuneKeyMethod(*context.finetune)},
                                     {"calibration", CalibrationJson(calibration, true)},
                                     {"numerics", NumericsJson()},
                                     {"seed", seed}},
                                    {quantize});
  json spec = CommonSpec(StageKind::kFinetune);
  spec["numerics"] = NumericsJson();
  spec["seed"] = seed;
  spec["model"] = json::object();
  spec["teacher"] = json::object();
  spec["method"] = FinetuneSpecMethod(*context.finetune);
  spec["calibration"] = CalibrationJson(calibration, false);
  stage.spec = spec.dump();
  stage.label = absl::StrCat("finetune ", context.VariantLabel(spec_.seeds.size() > 1));
  stage.inputs = {ArtifactInput("/model/dir", quantize, ""),
                  ModelInput("/teacher/dir", context.model)};
  for (std::size_t i = 0; i < calibration.parts.size(); ++i) {
    stage.inputs.push_back(BlobInput(absl::StrCat("/calibration/parts/", i, "/file"),
                                     DigestOf(calibration.parts[i].path)));
  }
  const StageLoad load = LoadOf(context);
  const int semantics = stage.needs.semantics;
  stage.needs = FinetuneNeeds(load, *context.precision, calibration, *context.finetune);
  stage.needs.semantics = semantics;
  stage.needs.model_paths = {context.model.path};
  stage.cost_estimate = FinetuneCost(load, calibration, *context.finetune);
  return Add(std::move(stage));
}

StageKey ChainBuilder::Generate(const Context& context, const std::optional<StageKey>& checkpoint) {
  const SamplingSpec& sampling = context.benchmark.sampling;
  const std::uint64_t seed =
      sampling.seed.value_or(DeriveSeed({"sampling", std::to_string(context.at.variant.seed)}));
  const std::string digest = DigestOf(context.file.path);
  json parameters = {{"benchmark", digest},
                     {"language", context.file.language},
                     {"sampling", SamplingJson(sampling)},
                     {"numerics", NumericsJson()},
                     {"seed", seed}};
  if (!checkpoint) {
    parameters["model"] = context.model.digest;
  }
  StageDefinition stage =
      MakeStage(StageKind::kGenerate,
                parameters,
                checkpoint ? std::vector<StageKey>{*checkpoint} : std::vector<StageKey>{});
  json spec = CommonSpec(StageKind::kGenerate);
  spec["numerics"] = NumericsJson();
  spec["seed"] = seed;
  spec["model"] = json::object();
  spec["benchmark"] = {{"language", context.file.language}};
  spec["sampling"] = SamplingJson(sampling);
  stage.spec = spec.dump();
  stage.label = absl::StrCat("generate ",
                             context.VariantLabel(spec_.seeds.size() > 1),
                             " ",
                             context.benchmark.name,
                             " ",
                             context.file.language);
  stage.inputs = {checkpoint ? ArtifactInput("/model/dir", *checkpoint, "")
                             : ModelInput("/model/dir", context.model),
                  BlobInput("/benchmark/file", digest)};
  const StageLoad load = LoadOf(context);
  const int semantics = stage.needs.semantics;
  stage.needs = GenerateNeeds(load, sampling);
  stage.needs.semantics = semantics;
  if (!checkpoint) {
    stage.needs.model_paths = {context.model.path};
  }
  stage.cost_estimate = GenerateCost(load, sampling, ProblemsOf(context.file));
  return Add(std::move(stage));
}

StageKey ChainBuilder::Grade(const Context& context, const StageKey& generate) {
  const std::string digest = DigestOf(context.file.path);
  const json grading = GradingJson(context.benchmark, context.file.language);
  StageDefinition stage =
      MakeStage(StageKind::kGrade,
                {{"benchmark", digest}, {"language", context.file.language}, {"grading", grading}},
                {generate});
  json spec = CommonSpec(StageKind::kGrade);
  spec["benchmark"] = {{"language", context.file.language}};
  spec["completions"] = json::object();
  spec["grading"] = grading;
  stage.spec = spec.dump();
  stage.label = absl::StrCat("grade ",
                             context.VariantLabel(spec_.seeds.size() > 1),
                             " ",
                             context.benchmark.name,
                             " ",
                             context.file.language);
  stage.inputs = {BlobInput("/benchmark/file", digest),
                  ArtifactInput("/completions/file", generate, "completions.jsonl")};
  const int semantics = stage.needs.semantics;
  stage.needs = GradeNeeds(context.benchmark.grading, context.file.language);
  stage.needs.semantics = semantics;
  stage.cost_estimate =
      GradeCost(context.benchmark.sampling, ProblemsOf(context.file), context.file.language);
  return Add(std::move(stage));
}

StageKey ChainBuilder::Add(StageDefinition stage) {
  StageKey key = stage.key;
  if (known_.insert(key).second) {
    plan_.stages.push_back(std::move(stage));
  }
  return key;
}

std::string ChainBuilder::DigestOf(const std::string& path) const {
  const auto found = files_.find(path);
  return found == files_.end() ? absl::StrCat("path:", path) : found->second.digest;
}

int ChainBuilder::ProblemsOf(const BenchmarkFileSpec& file) const {
  const auto found = files_.find(file.path);
  return found == files_.end() ? file.problems.value_or(0) : found->second.problems.value_or(0);
}

json ChainBuilder::NumericsJson() const {
  return {{"device", numerics_.device}, {"dtype", numerics_.dtype}};
}

json ChainBuilder::CalibrationJson(const CalibrationSpec& calibration, bool with_digests) const {
  json parts = json::array();
  for (const CalibrationPart& part : calibration.parts) {
    json entry = {
        {"sequences", part.sequences}, {"window", part.window}, {"min_tokens", part.min_tokens}};
    if (with_digests) {
      entry["digest"] = DigestOf(part.path);
    }
    parts.push_back(std::move(entry));
  }
  json out = {{"parts", std::move(parts)},
              {"validation", calibration.validation},
              {"sequence_length", calibration.sequence_length}};
  if (calibration.seed) {
    out["seed"] = *calibration.seed;
  }
  return out;
}

StageLoad ChainBuilder::LoadOf(const Context& context) const {
  const auto resources = spec_.resources.find(context.at.variant.model);
  return {context.model.shape ? &*context.model.shape : nullptr,
          context.model.bytes,
          numerics_,
          resources == spec_.resources.end() ? nullptr : &resources->second};
}

}  // namespace bitsweep
