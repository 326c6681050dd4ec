// The sections that say what is measured with and what is asked: benchmarks, questions, exclude
// rules, seeds.
#include <algorithm>
#include <array>
#include <cstdint>

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>

#include "coordinator/study/nearest.h"
#include "coordinator/study/sweep_sections.h"

namespace bitsweep {
namespace {

const std::vector<std::string> kLanguages = {"python", "java"};

SamplingSpec ReadSampling(YamlReader& reader, const YAML::Node& node, const std::string& what) {
  YamlFields fields(reader, node, what);
  SamplingSpec sampling;
  sampling.samples = static_cast<int>(fields.Integer("samples", 1, kSamplesMax, sampling.samples));
  sampling.temperature = fields.Number(
      "temperature",
      [](double x) { return x >= 0 && x <= 10; },
      "a number in [0, 10], 0 is greedy",
      sampling.temperature);
  sampling.top_p = fields.Number(
      "top_p", [](double x) { return x > 0 && x <= 1; }, "a number in (0, 1]", sampling.top_p);
  sampling.max_tokens_total = static_cast<int>(
      fields.Integer("max_tokens_total", 2, kTokensMax, sampling.max_tokens_total));
  sampling.seed = fields.Seed("seed");
  fields.Finish();
  return sampling;
}

// Ranges as in proto/schemas/stage_spec.schema.json, where a test compares them.
struct ProgramLimit {
  const char* name;
  std::int64_t least;
  std::int64_t most;
};

constexpr std::array<ProgramLimit, 7> kProgramLimits = {{
    {"memory_bytes", std::int64_t{32} << 20, std::int64_t{1} << 40},
    {"address_space_bytes", 0, std::int64_t{1} << 40},
    {"processes", 4, 65536},
    {"output_bytes", 4096, std::int64_t{1} << 30},
    {"file_bytes", std::int64_t{1} << 20, std::int64_t{1} << 36},
    {"disk_bytes", std::int64_t{1} << 20, std::int64_t{1} << 36},
    {"open_files", 16, 65536},
}};

/// `programs` with what `fields` says instead.
ProgramLimitsSpec ReadProgramLimits(YamlReader& reader,
                                    YamlFields& fields,
                                    ProgramLimitsSpec programs) {
  programs.timeout_seconds = static_cast<int>(
      fields.Integer("timeout_seconds", 1, kTimeoutSecondsMax, programs.timeout_seconds));
  if (const std::optional<YAML::Node> node = fields.Optional("limits")) {
    YamlFields limits(reader, *node, fields.Path("limits"));
    for (const ProgramLimit& limit : kProgramLimits) {
      const std::int64_t value = limits.Integer(limit.name, limit.least, limit.most, limit.least);
      if (limits.has(limit.name)) {
        programs.limits[limit.name] = value;
      }
    }
    limits.Finish();
  }
  return programs;
}

GradingSpec ReadGrading(YamlReader& reader,
                        const YAML::Node& node,
                        const std::string& what,
                        const BenchmarkSpec& benchmark) {
  YamlFields fields(reader, node, what);
  GradingSpec grading;
  grading.isolation =
      fields.OneOf("isolation", {"bubblewrap", "landlock", "none"}, grading.isolation);
  grading.tests = fields.OneOf("tests", {"apart", "study"}, grading.tests);
  grading.programs = ReadProgramLimits(reader, fields, grading.programs);
  for (const std::string& language : kLanguages) {
    const std::optional<YAML::Node> own = fields.Optional(language);
    if (!own) {
      continue;
    }
    if (std::none_of(benchmark.files.begin(),
                     benchmark.files.end(),
                     [&](const BenchmarkFileSpec& file) { return file.language == language; })) {
      reader.Error(
          fields.line(language),
          absl::StrCat(fields.Path(language), ": the benchmark has no file of this language"));
    }
    YamlFields of_language(reader, *own, fields.Path(language));
    grading.of_language[language] = ReadProgramLimits(reader, of_language, grading.programs);
    of_language.Finish();
  }
  fields.Finish();
  return grading;
}

void ReadBenchmarkFiles(YamlReader& reader, YamlFields& fields, BenchmarkSpec& benchmark) {
  if (const std::optional<YAML::Node> node = fields.Required("languages")) {
    for (const auto& [language, path] : NamedEntries(reader, *node, fields.Path("languages"))) {
      if (std::find(kLanguages.begin(), kLanguages.end(), language.text) == kLanguages.end()) {
        reader.Error(language.line,
                     absl::StrCat(fields.Path("languages"),
                                  ": unknown language '",
                                  language.text,
                                  "'",
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
      reader.Error(*node,
                   absl::StrCat(fields.Path("languages"), ": is empty; allowed: python, java"));
    }
  }
  if (const std::optional<YAML::Node> node = fields.Optional("problems")) {
    for (const auto& entry : NamedEntries(reader, *node, fields.Path("problems"))) {
      const auto& language = entry.first;
      const auto& count = entry.second;
      const auto file = std::find_if(
          benchmark.files.begin(), benchmark.files.end(), [&](const BenchmarkFileSpec& f) {
            return f.language == language.text;
          });
      const auto number = reader.Integer(
          count, absl::StrCat(fields.Path("problems"), ": ", language.text), 1, kProblemsMax);
      if (file == benchmark.files.end()) {
        reader.Error(
            language.line,
            absl::StrCat(
                fields.Path("problems"), ": '", language.text, "' is not among `languages`"));
      } else if (number) {
        file->problems = static_cast<int>(*number);
      }
    }
  }
}

}  // namespace

const ProgramLimitsSpec& GradingSpec::ProgramsOf(std::string_view language) const {
  const auto found = of_language.find(std::string(language));
  return found == of_language.end() ? programs : found->second;
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
    benchmark.grading = ReadGrading(reader, *grading, fields.Path("grading"), benchmark);
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
    reader.Error(name.line,
                 absl::StrCat("question '",
                              name.text,
                              "': its name is no kind, so `kind` is needed",
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
  for (const std::string key :
       {"models", "precisions", "calibrations", "finetunes", "benchmarks"}) {
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
    reader.Error(node,
                 absl::StrCat("seeds: ", seeds.size(), " of them; allowed: 1 to ", kSeedsMax));
    seeds = {0};
  }
  return seeds;
}

}  // namespace bitsweep
