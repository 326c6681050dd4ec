// What `bitsweep plan` says: counts and sizes, on names where files are absent.
#include <algorithm>
#include <fmt/format.h>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include "coordinator/study/cells.h"
#include "coordinator/study/chain.h"
#include "coordinator/study/methods.h"
#include "coordinator/study/plan.h"

namespace bitsweep {
namespace {

constexpr double kGigabyte = 1e9;
constexpr double kMegabyte = 1e6;

/// A readable size with its unit: decimal, as the study prints.
std::string SizeText(std::int64_t bytes) {
  const auto value = static_cast<double>(bytes);
  return value >= kGigabyte ? fmt::format("{:.2f} GB", value / kGigabyte)
                            : fmt::format("{:.2f} MB", value / kMegabyte);
}

/// 364320 -> "364,320".
std::string Grouped(std::int64_t number) {
  std::string digits = std::to_string(number);
  for (int at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3) {
    digits.insert(static_cast<std::size_t>(at), 1, ',');
  }
  return digits;
}

/// By the file where it was read, else as declared.
std::optional<int> ProblemsOf(const BenchmarkFileSpec& file, const FileFactsByPath& files) {
  const auto found = files.find(file.path);
  return found != files.end() && found->second.problems ? found->second.problems : file.problems;
}

void CountCompletions(const SweepSpec& spec,
                      const FileFactsByPath& files,
                      const std::vector<GridCell>& grid,
                      PlanCounts& counts) {
  std::int64_t completions = 0;
  bool known = true;
  for (const BenchmarkSpec& benchmark : spec.benchmarks) {
    for (const BenchmarkFileSpec& file : benchmark.files) {
      const auto cells = std::count_if(grid.begin(), grid.end(), [&](const GridCell& cell) {
        return cell.at.benchmark == benchmark.name && cell.at.language == file.language;
      });
      const std::optional<int> problems = ProblemsOf(file, files);
      if (problems) {
        completions += std::int64_t{*problems} * benchmark.sampling.samples * cells;
      } else if (cells > 0) {
        known = false;
        counts.notes.push_back(
            absl::StrCat("The problems of benchmark '",
                         benchmark.name,
                         "' (",
                         file.language,
                         ") are not known: '",
                         file.path,
                         "' was not read and `problems` does not declare them."));
      }
    }
  }
  if (known) {
    counts.completions = completions;
  }
}

}  // namespace

PlanCounts CountPlan(const SweepSpec& spec, const FileFactsByPath& files) {
  PlanCounts counts;
  const std::vector<GridCell> grid = ExpandGrid(spec);
  const std::vector<VariantCoordinates> variants = GridVariants(grid);
  counts.variants = static_cast<int>(variants.size());
  counts.baselines = static_cast<int>(
      std::count_if(variants.begin(), variants.end(), [](const VariantCoordinates& variant) {
        return variant.precision == kFp16;
      }));
  counts.cells = static_cast<int>(grid.size());
  CountCompletions(spec, files, grid, counts);
  // The same builder as for real keys, so that what is shared is counted once here exactly where it
  // is there.
  SweepPlan plan;
  ChainBuilder chains(spec, files, spec.numerics.value_or(Numerics{}), plan);
  std::set<std::string> paths;
  for (const GridCell& cell : grid) {
    const ModelSpec& model = *spec.FindModel(cell.at.variant.model);
    paths.insert(model.path);
    CellDefinition ignored;
    chains.Complete(
        {model.path, absl::StrCat("path:", model.path), 0, std::nullopt}, cell.at, ignored);
  }
  for (const StageKind kind : kStageKinds) {
    counts.stages[kind] = 0;
  }
  counts.stages[StageKind::kInspect] = static_cast<int>(paths.size());
  for (const StageDefinition& stage : plan.stages) {
    ++counts.stages[stage.kind];
  }
  return counts;
}

namespace {

/// As given, or of the published model that the id or the path names.
std::optional<ModelShape> ShapeOf(const ModelSpec& model, const ShapesByModel& shapes) {
  if (const auto given = shapes.find(model.id); given != shapes.end()) {
    return given->second;
  }
  const std::optional<ModelShape> named = NamedShape(model.id);
  return named ? named : NamedShape(model.path);
}

}  // namespace

std::vector<CheckpointPrediction> PredictCheckpoints(const SweepSpec& spec,
                                                     const ShapesByModel& shapes) {
  std::vector<CheckpointPrediction> out;
  for (const VariantCoordinates& variant : GridVariants(ExpandGrid(spec))) {
    const PrecisionSpec* precision = spec.FindPrecision(variant.precision);
    if (precision == nullptr) {
      continue;
    }
    const std::optional<ModelShape> shape = ShapeOf(*spec.FindModel(variant.model), shapes);
    if (!shape || !CheckGroups(*shape, *precision).ok()) {
      continue;
    }
    CheckpointPrediction prediction{"",
                                    variant.model,
                                    variant.precision,
                                    variant.calibration,
                                    variant.finetuned,
                                    variant.seed,
                                    PredictCheckpoint(*shape, *precision)};
    prediction.variant =
        absl::StrCat(variant.model,
                     "-",
                     variant.precision,
                     "-",
                     variant.calibration,
                     variant.finetuned == kNone ? "" : absl::StrCat("-", variant.finetuned),
                     spec.seeds.size() > 1 ? absl::StrCat("-seed", variant.seed) : "");
    out.push_back(std::move(prediction));
  }
  return out;
}

namespace {

/// Names the models without sizes and why.
void NoteSizes(const SweepSpec& spec,
               const std::vector<CheckpointPrediction>& checkpoints,
               PlanCounts& counts) {
  std::set<std::string> sized;
  for (const CheckpointPrediction& checkpoint : checkpoints) {
    sized.insert(absl::StrCat(checkpoint.model, " ", checkpoint.precision));
  }
  std::vector<std::string> without;
  for (const VariantCoordinates& variant : GridVariants(ExpandGrid(spec))) {
    const std::string name = absl::StrCat(variant.model, " ", variant.precision);
    if (variant.precision != kFp16 && !sized.contains(name)) {
      sized.insert(name);
      without.push_back(name);
    }
  }
  if (!without.empty()) {
    counts.notes.push_back(
        absl::StrCat("No size is predicted for ",
                     absl::StrJoin(without, ", "),
                     ": the model's config.json was not read or does not fit the precision. "
                     "--models-dir DIR names the folder that the models lie in."));
  }
}

}  // namespace

namespace {

/// The fine-tunings of the grid, in the file's order.
std::vector<const FinetuneSpec*> FinetunesOf(const SweepSpec& spec) {
  std::set<std::string> used;
  for (const VariantCoordinates& variant : GridVariants(ExpandGrid(spec))) {
    used.insert(variant.finetuned);
  }
  std::vector<const FinetuneSpec*> out;
  for (const FinetuneSpec& finetune : spec.finetunes) {
    if (used.contains(finetune.name)) {
      out.push_back(&finetune);
    }
  }
  return out;
}

}  // namespace

namespace {

// About what PV-tuning took to be clearly better than teacher-kl: 4,096 steps, not 1,024
// (tests/bench, worker/engine/finetune).
constexpr std::int64_t kPvStepsWanted = 4000;

/// Names the fine-tunings whose codes have too few steps to become better ones.
void NoteSteps(const SweepSpec& spec, PlanCounts& counts) {
  std::set<std::pair<std::string, std::string>> seen;
  for (const VariantCoordinates& variant : GridVariants(ExpandGrid(spec))) {
    const FinetuneSpec* finetune = spec.FindFinetune(variant.finetuned);
    const CalibrationSpec* calibration = spec.FindCalibration(variant.calibration);
    if (finetune == nullptr || calibration == nullptr || finetune->objective != kPvObjective ||
        !seen.emplace(finetune->name, calibration->name).second) {
      continue;
    }
    const std::int64_t sequences = calibration->sequences() - calibration->validation;
    const std::int64_t steps =
        (sequences + finetune->batch - 1) / finetune->batch * finetune->epochs;
    if (steps < kPvStepsWanted) {
      counts.notes.push_back(
          absl::StrCat("Finetune '",
                       finetune->name,
                       "' has ",
                       steps,
                       steps == 1 ? " step" : " steps",
                       " with calibration '",
                       calibration->name,
                       "'; PV-tuning wants ",
                       kPvStepsWanted,
                       " and more, and with few may keep the codes that it began "
                       "with: more sequences or epochs help."));
    }
  }
}

}  // namespace

nlohmann::json PlanJson(const SweepSpec& spec,
                        const FileFactsByPath& files,
                        const ShapesByModel& shapes,
                        std::optional<int> cached) {
  PlanCounts counts = CountPlan(spec, files);
  const std::vector<CheckpointPrediction> predictions = PredictCheckpoints(spec, shapes);
  NoteSizes(spec, predictions, counts);
  NoteSteps(spec, counts);
  nlohmann::json stages = nlohmann::json::object();
  for (const StageKind kind :
       {StageKind::kQuantize, StageKind::kFinetune, StageKind::kGenerate, StageKind::kGrade}) {
    stages[std::string(ToString(kind))] = counts.stages[kind];
  }
  nlohmann::json checkpoints = nlohmann::json::array();
  for (const CheckpointPrediction& checkpoint : predictions) {
    checkpoints.push_back({{"variant", checkpoint.variant},
                           {"model", checkpoint.model},
                           {"precision", checkpoint.precision},
                           {"calibration", checkpoint.calibration},
                           {"finetuned", checkpoint.finetuned},
                           {"seed", checkpoint.seed},
                           {"predicted_bytes", checkpoint.size.stored_bytes},
                           {"packed_bytes", checkpoint.size.packed_bytes},
                           {"effective_bits", checkpoint.size.packed_effective_bits},
                           {"stored_effective_bits", checkpoint.size.stored_effective_bits}});
  }
  nlohmann::json finetunes = nlohmann::json::array();
  for (const FinetuneSpec* finetune : FinetunesOf(spec)) {
    finetunes.push_back(FinetuneInFull(*finetune));
  }
  return {{"name", spec.name},
          {"variants", counts.variants},
          {"baselines", counts.baselines},
          {"cells", counts.cells},
          {"completions",
           counts.completions ? nlohmann::json(*counts.completions) : nlohmann::json(nullptr)},
          {"stages", std::move(stages)},
          {"inspect", counts.stages[StageKind::kInspect]},
          {"cached", cached.value_or(0)},
          {"cache_known", cached.has_value()},
          {"checkpoints", std::move(checkpoints)},
          {"finetunes", std::move(finetunes)},
          {"notes", counts.notes}};
}

namespace {

/// The models as they are, which every worker that reads them has to hold.
std::string ModelsText(const SweepSpec& spec, const ShapesByModel& shapes) {
  std::size_t width = 10;
  for (const ModelSpec& model : spec.models) {
    width = std::max(width, model.id.size());
  }
  std::string lines;
  for (const ModelSpec& model : spec.models) {
    if (const std::optional<ModelShape> shape = ShapeOf(model, shapes)) {
      lines += fmt::format("{:<{}}  {:>10}  {:>15}\n",
                           model.id,
                           width,
                           SizeText(Fp16Bytes(*shape)),
                           Grouped(ParameterCount(*shape)));
    }
  }
  return lines.empty()
             ? ""
             : fmt::format(
                   "\n{:<{}}  {:>10}  {:>15}\n{}", "model", width, "16-bit", "parameters", lines);
}

/// What the fine-tunings and the quantizer's options are, a line each.
std::string MethodsText(const SweepSpec& spec) {
  std::string lines;
  for (const PrecisionSpec& precision : spec.precisions) {
    if (const std::string options = OptionsText(precision); !options.empty()) {
      absl::StrAppend(&lines, "options      ", precision.label, ": ", options, "\n");
    }
  }
  for (const FinetuneSpec* finetune : FinetunesOf(spec)) {
    absl::StrAppend(&lines, "fine-tuning  ", finetune->name, ": ", FinetuneText(*finetune), "\n");
  }
  return lines;
}

std::string CheckpointsText(const std::vector<CheckpointPrediction>& predictions) {
  if (predictions.empty()) {
    return "";
  }
  std::size_t width = 10;
  for (const CheckpointPrediction& checkpoint : predictions) {
    width = std::max(width, checkpoint.variant.size());
  }
  std::string text = fmt::format("\n{:<{}}  {:>10}  {:>11}  {:>10}  {:>11}\n",
                                 "checkpoint",
                                 width,
                                 "as stored",
                                 "bits/weight",
                                 "packed",
                                 "bits/weight");
  std::int64_t stored = 0, packed = 0;
  for (const CheckpointPrediction& checkpoint : predictions) {
    const CheckpointSize& size = checkpoint.size;
    stored += size.stored_bytes;
    packed += size.packed_bytes;
    text += fmt::format("{:<{}}  {:>10}  {:>11.3f}  {:>10}  {:>11.3f}\n",
                        checkpoint.variant,
                        width,
                        SizeText(size.stored_bytes),
                        size.stored_effective_bits,
                        SizeText(size.packed_bytes),
                        size.packed_effective_bits);
  }
  text += fmt::format("{:<{}}  {:>10}  {:>11}  {:>10}\n",
                      fmt::format("{} together", predictions.size()),
                      width,
                      SizeText(stored),
                      "",
                      SizeText(packed));
  return text +
         "Predicted from the models' shapes; GB = 10^9 bytes, MB = 10^6 bytes. As stored: codes in "
         "int16, or int8\nup to 8 bits; packed: each code with its own bits. bits/weight: of the "
         "quantized linears, with codebooks\nand scales.\n";
}

}  // namespace

std::string PlanText(const SweepSpec& spec,
                     const FileFactsByPath& files,
                     const ShapesByModel& shapes,
                     std::optional<int> cached) {
  PlanCounts counts = CountPlan(spec, files);
  const std::vector<CheckpointPrediction> predictions = PredictCheckpoints(spec, shapes);
  NoteSizes(spec, predictions, counts);
  NoteSteps(spec, counts);
  std::string text = fmt::format(
      "sweep        {}\nvariants     {} ({} of them fp16)\ncells        {}\ncompletions  {}\n",
      spec.name,
      counts.variants,
      counts.baselines,
      counts.cells,
      counts.completions ? Grouped(*counts.completions) : "not known");
  std::vector<std::string> stages;
  for (const StageKind kind : kStageKinds) {
    if (counts.stages[kind] > 0) {
      stages.push_back(absl::StrCat(counts.stages[kind], " ", std::string(ToString(kind))));
    }
  }
  absl::StrAppend(&text,
                  "stages       ",
                  absl::StrJoin(stages, ", "),
                  "\n",
                  "cached       ",
                  cached ? std::to_string(*cached) : "not known",
                  "\n");
  text += MethodsText(spec);
  text += ModelsText(spec, shapes) + CheckpointsText(predictions);
  for (const std::string& note : counts.notes) {
    absl::StrAppend(&text, "note: ", note, "\n");
  }
  return text;
}

}  // namespace bitsweep
