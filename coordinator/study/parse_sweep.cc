// ParseSweep: the file as a whole. Its sections are read in *_sections.cc and checked against each
// other in check_sweep.cc.
#include <absl/strings/str_cat.h>

#include "coordinator/study/check_sweep.h"
#include "coordinator/study/diagnostics.h"
#include "coordinator/study/nearest.h"
#include "coordinator/study/sweep_sections.h"
#include "coordinator/study/sweep_spec.h"
#include "coordinator/study/yaml_fields.h"

#include "proto/contract/limits.h"

namespace bitsweep {
namespace {

/// The file's `variables:` with their defaults, overridden by `settings`.
std::map<std::string, std::string> ReadVariables(
    Diagnostics& diagnostics,
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
      diagnostics.Add(
          0,
          absl::StrCat("--set ",
                       name,
                       ": the file has no such variable",
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
  each("precisions", [&](const Placed& n, const YAML::Node& v) {
    spec.precisions.push_back(ReadPrecision(reader, n, v));
  });
  each("calibrations", [&](const Placed& n, const YAML::Node& v) {
    spec.calibrations.push_back(ReadCalibration(reader, n, v));
  });
  each("finetunes", [&](const Placed& n, const YAML::Node& v) {
    spec.finetunes.push_back(ReadFinetune(reader, n, v));
  });
  fields.Required("benchmarks");
  each("benchmarks", [&](const Placed& n, const YAML::Node& v) {
    spec.benchmarks.push_back(ReadBenchmark(reader, n, v));
  });
  fields.Required("questions");
  each("questions", [&](const Placed& n, const YAML::Node& v) {
    draft.questions.push_back(ReadQuestion(reader, n, v));
  });
  each("resources", [&](const Placed& n, const YAML::Node& v) {
    spec.resources[n.text] = ReadResources(reader, n, v);
    draft.resource_models.push_back(n);
  });
  if (const auto excludes = fields.Optional("exclude")) {
    if (!excludes->IsSequence()) {
      reader.Error(*excludes,
                   "exclude: a list of rules such as {model: ..., precision: ...} is needed");
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
    return absl::InvalidArgumentError(absl::StrCat(
        file_name, ": ", text.size(), " bytes; a sweep file has at most ", kSweepFileBytesMax));
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
    // A section that is absent or misspelt has been reported; names that refer to it would only
    // repeat that.
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
    diagnostics.Add(error.mark.is_null() ? 1 : error.mark.line + 1,
                    absl::StrCat("not YAML or JSON: ", error.msg));
  }
  return diagnostics.ToStatus();
}

}  // namespace bitsweep
