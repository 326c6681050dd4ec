// ParseSweep: the sections of the sweep file, one function each. Cross-references are checked in check_sweep.cc.
#include <algorithm>
#include <cmath>

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include "coordinator/study/check_sweep.h"
#include "coordinator/study/diagnostics.h"
#include "coordinator/study/nearest.h"
#include "coordinator/study/sweep_spec.h"
#include "coordinator/study/yaml_fields.h"
#include "proto/contract/limits.h"

namespace bitsweep {
namespace {

constexpr std::int64_t kSequencesMax = 1 << 24;
constexpr std::int64_t kTokensMax = 1 << 20;
constexpr std::int64_t kSamplesMax = 100'000;
constexpr std::int64_t kProblemsMax = 10'000'000;
constexpr std::int64_t kTimeoutSecondsMax = 3600;
constexpr std::size_t kSeedsMax = 1000;
const std::vector<std::string> kWindows = {"random", "first", "pack"};
const std::vector<std::string> kLanguages = {"python", "java"};

/// "24GiB", "512MB", "1073741824" -> bytes.
std::optional<std::int64_t> ParseBytes(const std::string& text) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
  static const std::map<std::string, double> kUnits = {
      {"", 1},      {"B", 1},        {"KB", 1e3},      {"MB", 1e6},        {"GB", 1e9},
      {"TB", 1e12}, {"KiB", 1024.0}, {"MiB", 1 << 20}, {"GiB", 1073741824.0}, {"TiB", 1099511627776.0}};
  double number = 0;
  const auto unit = kUnits.find(std::string(absl::StripAsciiWhitespace(text.substr(digits))));
  if (unit == kUnits.end() || !absl::SimpleAtod(text.substr(0, digits), &number) || number * unit->second > 1e18) {
    return std::nullopt;
  }
  return static_cast<std::int64_t>(std::llround(number * unit->second));
}

void CheckModelPath(YamlReader& reader, const std::string& path, int line, const std::string& what) {
  const std::vector<std::string> parts = absl::StrSplit(path, '/');
  if (path.empty() || path[0] == '/' || std::find(parts.begin(), parts.end(), "..") != parts.end()) {
    reader.Error(line, absl::StrCat(what, ": found '", path,
                                    "'; a model's path is relative to the --model-root of the workers and has no '..'"));
  }
}

ModelSpec ReadModel(YamlReader& reader, const YAML::Node& node, std::size_t index) {
  YamlFields fields(reader, node, absl::StrCat("models[", index, "]"));
  ModelSpec model;
  model.line = fields.line();
  model.id = fields.RequiredText("id");
  model.family = fields.Text("family", model.id);
  model.params = fields.Text("params", "");
  model.path = fields.Text("path", model.id);
  fields.Refuse("resources", "goes to the top level: `resources: {<model id>: {gpu_memory: 24GiB}}`");
  fields.Refuse("sampling", "a model cannot override the sampling; give it a benchmark entry of its own");
  fields.Refuse("method", "a model cannot override the method; give it a precision of its own");
  fields.Finish();
  if (!model.id.empty()) {
    CheckName(reader, {model.id, fields.line("id")}, "models: id");
    CheckModelPath(reader, model.path, fields.has("path") ? fields.line("path") : fields.line("id"), fields.Path("path"));
  }
  return model;
}

PrecisionSpec ReadPrecision(YamlReader& reader, const Placed& label, const YAML::Node& node) {
  YamlFields fields(reader, node, absl::StrCat("precision '", label.text, "'"));
  PrecisionSpec precision;
  precision.label = label.text;
  precision.line = label.line;
  if (label.text == kFp16 || label.text == kNone) {
    reader.Error(label.line, absl::StrCat("precisions: '", label.text, "' is reserved: fp16 is implied, the model as it is"));
  }
  precision.method = fields.OneOf("method", {"aqlm"}, "aqlm");
  precision.codebooks = static_cast<int>(fields.Integer("codebooks", 1, 16, std::nullopt));
  precision.codebook_bits = static_cast<int>(fields.Integer("codebook_bits", 1, 16, std::nullopt));
  precision.group_size = static_cast<int>(fields.Integer("group_size", 1, 32, 8));
  if (const int group = precision.group_size; (group & (group - 1)) != 0) {
    reader.Error(fields.line("group_size"),
                 absl::StrCat(fields.Path("group_size"), ": found '", group, "'; allowed: 1, 2, 4, 8, 16, 32"));
  }
  precision.seed = fields.Seed("seed");
  if (const std::optional<YAML::Node> options = fields.Optional("options")) {
    precision.options = reader.ToJson(*options, fields.Path("options"));
    for (const std::string name : {"name", "codebooks", "codebook_bits", "group_size"}) {
      if (precision.options.is_object() && precision.options.contains(name)) {
        reader.Error(*options, absl::StrCat(fields.Path("options"), ": '", name, "' is no option, it stands beside them"));
      }
    }
    if (!precision.options.is_object()) {
      reader.Error(*options, absl::StrCat(fields.Path("options"), ": a mapping (option: value) is needed"));
      precision.options = nlohmann::json::object();
    }
  }
  fields.Finish();
  return precision;
}

CalibrationPart ReadPart(YamlFields& fields) {
  CalibrationPart part;
  part.path = fields.RequiredText("path");
  part.line = fields.line("path");
  part.sequences = fields.Integer("sequences", 1, kSequencesMax, std::nullopt);
  part.window = fields.OneOf("window", kWindows, "pack");
  part.min_tokens = fields.Integer("min_tokens", 0, kTokensMax, 0);
  return part;
}

CalibrationSpec ReadCalibration(YamlReader& reader, const Placed& name, const YAML::Node& node) {
  YamlFields fields(reader, node, absl::StrCat("calibration '", name.text, "'"));
  CalibrationSpec calibration;
  calibration.name = name.text;
  calibration.line = name.line;
  if (name.text == kNone) {
    reader.Error(name.line, "calibrations: 'none' is reserved: what fp16 has");
  }
  calibration.validation = fields.Integer("validation", 0, kSequencesMax, 0);
  calibration.sequence_length = fields.Integer("sequence_length", 2, kTokensMax, std::nullopt);
  fields.Refuse("seed", "windows and codebooks are drawn from one seed; give `seed` in the precision or `seeds`");
  if (const std::optional<YAML::Node> parts = fields.Optional("parts")) {
    for (const std::string key : {"path", "sequences", "window", "min_tokens"}) {
      fields.Refuse(key, "stands in each of `parts` where there are parts");
    }
    if (!parts->IsSequence() || parts->size() == 0) {
      reader.Error(*parts, absl::StrCat(fields.Path("parts"), ": a list of at least one {path, sequences, window} is needed"));
    } else {
      for (std::size_t i = 0; i < parts->size(); ++i) {
        YamlFields part(reader, (*parts)[i], absl::StrCat(fields.Path("parts"), "[", i, "]"));
        calibration.parts.push_back(ReadPart(part));
        part.Finish();
      }
    }
  } else {
    calibration.parts.push_back(ReadPart(fields));
  }
  fields.Finish();
  std::int64_t sequences = 0;
  for (const CalibrationPart& part : calibration.parts) {
    sequences += part.sequences;
  }
  if (calibration.validation > 0 && sequences > 0 && calibration.validation >= sequences) {
    reader.Error(fields.line("validation"),
                 absl::StrCat(fields.Path("validation"), ": ", calibration.validation, " of ", sequences,
                              " sequences leave none to calibrate with"));
  }
  return calibration;
}

FinetuneSpec ReadFinetune(YamlReader& reader, const Placed& name, const YAML::Node& node) {
  YamlFields fields(reader, node, absl::StrCat("finetune '", name.text, "'"));
  FinetuneSpec finetune;
  finetune.name = name.text;
  finetune.line = name.line;
  if (name.text == kNone) {
    reader.Error(name.line, "finetunes: 'none' is reserved: no fine-tuning");
  }
  finetune.objective = fields.OneOf("objective", {"teacher-kl"}, finetune.objective);
  finetune.learning_rate = fields.Number(
      "learning_rate", [](double x) { return x > 0 && x <= 1; }, "a number in (0, 1]", finetune.learning_rate);
  finetune.epochs = static_cast<int>(fields.Integer("epochs", 1, 1000, finetune.epochs));
  finetune.early_stop = static_cast<int>(fields.Integer("early_stop", 0, 1000, finetune.early_stop));
  fields.Finish();
  return finetune;
}

SamplingSpec ReadSampling(YamlReader& reader, const YAML::Node& node, const std::string& what) {
  YamlFields fields(reader, node, what);
  SamplingSpec sampling;
  sampling.samples = static_cast<int>(fields.Integer("samples", 1, kSamplesMax, sampling.samples));
  sampling.temperature = fields.Number(
      "temperature", [](double x) { return x >= 0 && x <= 10; }, "a number in [0, 10], 0 is greedy", sampling.temperature);
  sampling.top_p = fields.Number(
      "top_p", [](double x) { return x > 0 && x <= 1; }, "a number in (0, 1]", sampling.top_p);
  sampling.max_tokens_total = static_cast<int>(fields.Integer("max_tokens_total", 2, kTokensMax, sampling.max_tokens_total));
  sampling.seed = fields.Seed("seed");
  fields.Finish();
  return sampling;
}

GradingSpec ReadGrading(YamlReader& reader, const YAML::Node& node, const std::string& what) {
  YamlFields fields(reader, node, what);
  GradingSpec grading;
  grading.isolation = fields.OneOf("isolation", {"bubblewrap", "landlock", "none"}, grading.isolation);
  grading.timeout_seconds =
      static_cast<int>(fields.Integer("timeout_seconds", 1, kTimeoutSecondsMax, grading.timeout_seconds));
  fields.Finish();
  return grading;
}

void ReadBenchmarkFiles(YamlReader& reader, YamlFields& fields, BenchmarkSpec& benchmark) {
  if (const std::optional<YAML::Node> node = fields.Required("languages")) {
    for (const auto& [language, path] : NamedEntries(reader, *node, fields.Path("languages"))) {
      if (std::find(kLanguages.begin(), kLanguages.end(), language.text) == kLanguages.end()) {
        reader.Error(language.line, absl::StrCat(fields.Path("languages"), ": unknown language '", language.text, "'",
                                                 AllowedText(language.text, kLanguages)));
        continue;
      }
      const std::string what = absl::StrCat(fields.Path("languages"), ": ", language.text);
      const std::string text = reader.Text(path, what).value_or("");
      if (text.empty() && path.IsScalar()) {
        reader.Error(path, absl::StrCat(what, ": the path of a problem file is needed"));
      }
      benchmark.files.push_back({language.text, text, std::nullopt, YamlReader::Line(path)});
    }
    if (node->IsMap() && node->size() == 0) {
      reader.Error(*node, absl::StrCat(fields.Path("languages"), ": is empty; allowed: python, java"));
    }
  }
  if (const std::optional<YAML::Node> node = fields.Optional("problems")) {
    for (const auto& [language, count] : NamedEntries(reader, *node, fields.Path("problems"))) {
      const auto file = std::find_if(benchmark.files.begin(), benchmark.files.end(),
                                     [&](const BenchmarkFileSpec& f) { return f.language == language.text; });
      const auto number =
          reader.Integer(count, absl::StrCat(fields.Path("problems"), ": ", language.text), 1, kProblemsMax);
      if (file == benchmark.files.end()) {
        reader.Error(language.line, absl::StrCat(fields.Path("problems"), ": '", language.text, "' is not among `languages`"));
      } else if (number) {
        file->problems = static_cast<int>(*number);
      }
    }
  }
}

BenchmarkSpec ReadBenchmark(YamlReader& reader, const Placed& name, const YAML::Node& node) {
  YamlFields fields(reader, node, absl::StrCat("benchmark '", name.text, "'"));
  BenchmarkSpec benchmark;
  benchmark.name = name.text;
  benchmark.line = name.line;
  benchmark.format = fields.OneOf("format", {"multipl-e", "mceval"}, benchmark.format);
  ReadBenchmarkFiles(reader, fields, benchmark);
  if (const std::optional<YAML::Node> sampling = fields.Optional("sampling")) {
    benchmark.sampling = ReadSampling(reader, *sampling, fields.Path("sampling"));
  }
  benchmark.post_processing =
      fields.OneOf("post_processing", {"study", "keep_helpers", "none"}, benchmark.post_processing);
  if (const std::optional<YAML::Node> grading = fields.Optional("grading")) {
    benchmark.grading = ReadGrading(reader, *grading, fields.Path("grading"));
  }
  fields.Finish();
  return benchmark;
}

QuestionDraft ReadQuestion(YamlReader& reader, const Placed& name, const YAML::Node& node) {
  static const std::vector<std::string> kKinds = {"rq1", "rq1-finetune", "rq2", "rq3"};
  YamlFields fields(reader, node, absl::StrCat("question '", name.text, "'"));
  QuestionDraft draft;
  draft.name = name;
  draft.line = name.line;
  const bool named_by_kind = ParseQuestionKind(name.text).has_value();
  const std::string kind = fields.OneOf("kind", kKinds, named_by_kind ? name.text : "");
  if (kind.empty() && !fields.has("kind")) {
    reader.Error(name.line, absl::StrCat("question '", name.text, "': its name is no kind, so `kind` is needed",
                                         AllowedText(name.text, kKinds)));
  }
  draft.kind = ParseQuestionKind(kind);
  fields.Required("models");
  fields.Required("precisions");
  draft.models = fields.List("models");
  draft.precisions = fields.List("precisions");
  draft.calibrations = fields.List("calibrations");
  draft.finetunes = fields.List("finetunes");
  draft.benchmarks = fields.List("benchmarks");
  for (const std::string key : {"models", "precisions", "calibrations", "finetunes", "benchmarks"}) {
    if (const auto list = fields.Optional(key); list && list->IsSequence() && list->size() == 0) {
      reader.Error(*list, absl::StrCat(fields.Path(key), ": is empty"));
    }
  }
  draft.calibrations_line = fields.line("calibrations");
  draft.finetunes_line = fields.line("finetunes");
  if (const std::optional<YAML::Node> reference = fields.Optional("reference")) {
    YamlFields inner(reader, *reference, fields.Path("reference"));
    draft.reference = Placed{inner.RequiredText("calibration"), inner.line("calibration")};
    inner.Finish();
  }
  fields.Finish();
  return draft;
}

ExcludeDraft ReadExclude(YamlReader& reader, const YAML::Node& node, std::size_t index) {
  YamlFields fields(reader, node, absl::StrCat("exclude[", index, "]"));
  ExcludeDraft draft;
  draft.line = fields.line();
  const auto read = [&](const std::string& one, const std::string& many) {
    std::vector<Placed> names = fields.List(many);
    for (const Placed& name : fields.List(one)) {
      names.push_back(name);
    }
    return names;
  };
  draft.questions = read("question", "questions");
  draft.models = read("model", "models");
  draft.precisions = read("precision", "precisions");
  draft.calibrations = read("calibration", "calibrations");
  draft.finetunes = read("finetune", "finetunes");
  draft.benchmarks = read("benchmark", "benchmarks");
  draft.languages = read("language", "languages");
  fields.Finish();
  return draft;
}

ResourceSpec ReadResources(YamlReader& reader, const Placed& model, const YAML::Node& node) {
  YamlFields fields(reader, node, absl::StrCat("resources of '", model.text, "'"));
  ResourceSpec resources;
  const auto bytes = [&](const std::string& key) -> std::optional<std::int64_t> {
    const std::optional<YAML::Node> value = fields.Optional(key);
    const std::optional<std::string> text = value ? reader.Text(*value, fields.Path(key)) : std::nullopt;
    if (!text) {
      return std::nullopt;
    }
    const std::optional<std::int64_t> parsed = ParseBytes(*text);
    if (!parsed || *parsed <= 0) {
      reader.Error(*value, absl::StrCat(fields.Path(key), ": found '", *text, "'; allowed: a size such as 24GiB or 500MB"));
      return std::nullopt;
    }
    return parsed;
  };
  resources.gpu_bytes = bytes("gpu_memory");
  resources.host_bytes = bytes("host_memory");
  if (const std::int64_t cores = fields.Integer("cores", 1, 4096, 0); cores > 0) {
    resources.cores = static_cast<int>(cores);
  }
  fields.Finish();
  return resources;
}

std::optional<Numerics> ReadNumerics(YamlReader& reader, const YAML::Node& node) {
  YamlFields fields(reader, node, "numerics");
  fields.Required("device");
  fields.Required("dtype");
  Numerics numerics;
  numerics.device = fields.OneOf("device", {"cuda", "cpu"}, "cpu");
  numerics.dtype = fields.OneOf("dtype", {"f16", "bf16", "f32"}, numerics.device == "cuda" ? "f16" : "f32");
  fields.Finish();
  return numerics;
}

std::vector<std::int64_t> ReadSeeds(YamlReader& reader, const YAML::Node& node) {
  std::vector<std::int64_t> seeds;
  for (const Placed& text : reader.List(node, "seeds")) {
    std::int64_t seed = 0;
    if (!absl::SimpleAtoi(text.text, &seed)) {
      reader.Error(text.line, absl::StrCat("seeds: found '", text.text, "'; allowed: integers"));
    } else {
      seeds.push_back(seed);
    }
  }
  if (seeds.empty() || seeds.size() > kSeedsMax) {
    reader.Error(node, absl::StrCat("seeds: ", seeds.size(), " of them; allowed: 1 to ", kSeedsMax));
    seeds = {0};
  }
  return seeds;
}

/// The file's `variables:` with their defaults, overridden by `settings`.
std::map<std::string, std::string> ReadVariables(Diagnostics& diagnostics,
                                                 const YAML::Node& root,
                                                 const std::map<std::string, std::string>& settings) {
  std::map<std::string, std::string> variables;
  YamlReader plain(diagnostics, {});
  const YAML::Node node = root["variables"];
  if (node && !node.IsNull()) {
    for (const auto& [name, value] : NamedEntries(plain, node, "variables")) {
      if (!value.IsScalar() && !value.IsNull()) {
        plain.Error(value, absl::StrCat("variables: '", name.text, "': a single value is needed"));
      } else {
        variables[name.text] = value.IsScalar() ? value.Scalar() : "";
      }
    }
  }
  std::vector<std::string> known;
  for (const auto& [name, value] : variables) {
    known.push_back(name);
  }
  for (const auto& [name, value] : settings) {
    if (variables.contains(name)) {
      variables[name] = value;
    } else {
      diagnostics.Add(0, absl::StrCat("--set ", name, ": the file has no such variable",
                                      known.empty() ? "; it has no `variables:`" : AllowedText(name, known)));
    }
  }
  return variables;
}

void ReadSections(YamlReader& reader, YamlFields& fields, SweepDraft& draft) {
  SweepSpec& spec = draft.spec;
  if (const auto models = fields.Required("models")) {
    if (!models->IsSequence() || models->size() == 0) {
      reader.Error(*models, "models: a list of {id, family, params, path} is needed");
      draft.models_known = false;
    }
    for (std::size_t i = 0; models->IsSequence() && i < models->size(); ++i) {
      spec.models.push_back(ReadModel(reader, (*models)[i], i));
    }
  }
  const auto each = [&](const std::string& key, const auto& read) {
    if (const auto node = fields.Optional(key)) {
      for (const auto& [name, value] : NamedEntries(reader, *node, key)) {
        read(name, value);
      }
    }
  };
  each("precisions", [&](const Placed& n, const YAML::Node& v) { spec.precisions.push_back(ReadPrecision(reader, n, v)); });
  each("calibrations",
       [&](const Placed& n, const YAML::Node& v) { spec.calibrations.push_back(ReadCalibration(reader, n, v)); });
  each("finetunes", [&](const Placed& n, const YAML::Node& v) { spec.finetunes.push_back(ReadFinetune(reader, n, v)); });
  fields.Required("benchmarks");
  each("benchmarks", [&](const Placed& n, const YAML::Node& v) { spec.benchmarks.push_back(ReadBenchmark(reader, n, v)); });
  fields.Required("questions");
  each("questions", [&](const Placed& n, const YAML::Node& v) { draft.questions.push_back(ReadQuestion(reader, n, v)); });
  each("resources", [&](const Placed& n, const YAML::Node& v) {
    spec.resources[n.text] = ReadResources(reader, n, v);
    draft.resource_models.push_back(n);
  });
  if (const auto excludes = fields.Optional("exclude")) {
    if (!excludes->IsSequence()) {
      reader.Error(*excludes, "exclude: a list of rules such as {model: ..., precision: ...} is needed");
    }
    for (std::size_t i = 0; excludes->IsSequence() && i < excludes->size(); ++i) {
      draft.excludes.push_back(ReadExclude(reader, (*excludes)[i], i));
    }
  }
  if (const auto numerics = fields.Optional("numerics")) {
    spec.numerics = ReadNumerics(reader, *numerics);
  }
  if (const auto seeds = fields.Optional("seeds")) {
    spec.seeds = ReadSeeds(reader, *seeds);
    draft.seeds_line = fields.line("seeds");
  }
}

}  // namespace

absl::StatusOr<SweepSpec> ParseSweep(std::string_view text,
                                     const std::string& file_name,
                                     const std::map<std::string, std::string>& settings) {
  if (static_cast<std::int64_t>(text.size()) > kSweepFileBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat(file_name, ": ", text.size(), " bytes; a sweep file has at most ",
                                                   kSweepFileBytesMax));
  }
  Diagnostics diagnostics(file_name);
  try {
    const YAML::Node root = YAML::Load(std::string(text));
    if (!root.IsMap()) {
      diagnostics.Add(1, "a sweep file is a mapping with the keys name, models, precisions, ...");
      return diagnostics.ToStatus();
    }
    SweepDraft draft;
    draft.spec.file_name = file_name;
    YamlReader reader(diagnostics, ReadVariables(diagnostics, root, settings));
    YamlFields fields(reader, root, "");
    draft.spec.name = fields.RequiredText("name");
    if (!draft.spec.name.empty()) {
      CheckName(reader, {draft.spec.name, fields.line("name")}, "name");
    }
    fields.Optional("description");
    fields.Optional("variables");
    ReadSections(reader, fields, draft);
    // A section that is absent or misspelt has been reported; names that refer to it would only repeat that.
    draft.models_known = draft.models_known && fields.has("models");
    draft.precisions_known = fields.has("precisions") || !fields.HasUnknownNear("precisions");
    draft.calibrations_known = fields.has("calibrations") || !fields.HasUnknownNear("calibrations");
    draft.finetunes_known = fields.has("finetunes") || !fields.HasUnknownNear("finetunes");
    draft.benchmarks_known = fields.has("benchmarks");
    fields.Finish();
    CheckSweep(draft, diagnostics);
    if (absl::Status status = diagnostics.ToStatus(); !status.ok()) {
      return status;
    }
    return std::move(draft.spec);
  } catch (const YAML::Exception& error) {
    diagnostics.Add(error.mark.is_null() ? 1 : error.mark.line + 1, absl::StrCat("not YAML or JSON: ", error.msg));
  }
  return diagnostics.ToStatus();
}

}  // namespace bitsweep
