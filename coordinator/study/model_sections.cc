// The sections that say what is measured: models, calibrations, resources, numerics.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include "coordinator/study/sweep_sections.h"

namespace bitsweep {
namespace {

const std::vector<std::string> kWindows = {"random", "first", "pack"};

/// "24GiB", "512MB", "1073741824" -> bytes.
std::optional<std::int64_t> ParseBytes(const std::string& text) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
  static const std::map<std::string, double> kUnits = {{"", 1},
                                                       {"B", 1},
                                                       {"KB", 1e3},
                                                       {"MB", 1e6},
                                                       {"GB", 1e9},
                                                       {"TB", 1e12},
                                                       {"KiB", 1024.0},
                                                       {"MiB", 1 << 20},
                                                       {"GiB", 1073741824.0},
                                                       {"TiB", 1099511627776.0}};
  double number = 0;
  const auto unit = kUnits.find(std::string(absl::StripAsciiWhitespace(text.substr(digits))));
  if (unit == kUnits.end() || !absl::SimpleAtod(text.substr(0, digits), &number) ||
      number * unit->second > 1e18) {
    return std::nullopt;
  }
  return static_cast<std::int64_t>(std::llround(number * unit->second));
}

void CheckModelPath(YamlReader& reader,
                    const std::string& path,
                    int line,
                    const std::string& what) {
  const std::vector<std::string> parts = absl::StrSplit(path, '/');
  if (path.empty() || path[0] == '/' ||
      std::find(parts.begin(), parts.end(), "..") != parts.end()) {
    reader.Error(
        line,
        absl::StrCat(
            what,
            ": found '",
            path,
            "'; a model's path is relative to the --model-root of the workers and has no '..'"));
  }
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

}  // namespace

ModelSpec ReadModel(YamlReader& reader, const YAML::Node& node, std::size_t index) {
  YamlFields fields(reader, node, absl::StrCat("models[", index, "]"));
  ModelSpec model;
  model.line = fields.line();
  model.id = fields.RequiredText("id");
  model.family = fields.Text("family", model.id);
  model.params = fields.Text("params", "");
  model.path = fields.Text("path", model.id);
  fields.Refuse("resources",
                "goes to the top level: `resources: {<model id>: {gpu_memory: 24GiB}}`");
  fields.Refuse("sampling",
                "a model cannot override the sampling; give it a benchmark entry of its own");
  fields.Refuse("method", "a model cannot override the method; give it a precision of its own");
  fields.Finish();
  if (!model.id.empty()) {
    CheckName(reader, {model.id, fields.line("id")}, "models: id");
    CheckModelPath(reader,
                   model.path,
                   fields.has("path") ? fields.line("path") : fields.line("id"),
                   fields.Path("path"));
    // A worker knows its models by the shortest spelling; "./m", as variables make it, is "m".
    model.path = std::filesystem::path(model.path).lexically_normal().string();
  }
  return model;
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
  calibration.seed = fields.Seed("seed");
  if (const std::optional<YAML::Node> parts = fields.Optional("parts")) {
    for (const std::string key : {"path", "sequences", "window", "min_tokens"}) {
      fields.Refuse(key, "stands in each of `parts` where there are parts");
    }
    if (!parts->IsSequence() || parts->size() == 0) {
      reader.Error(*parts,
                   absl::StrCat(fields.Path("parts"),
                                ": a list of at least one {path, sequences, window} is needed"));
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
  const std::int64_t sequences = calibration.sequences();
  if (calibration.validation > 0 && sequences > 0 && calibration.validation >= sequences) {
    reader.Error(fields.line("validation"),
                 absl::StrCat(fields.Path("validation"),
                              ": ",
                              calibration.validation,
                              " of ",
                              sequences,
                              " sequences leave none to calibrate with"));
  }
  return calibration;
}

ResourceSpec ReadResources(YamlReader& reader, const Placed& model, const YAML::Node& node) {
  YamlFields fields(reader, node, absl::StrCat("resources of '", model.text, "'"));
  ResourceSpec resources;
  const auto bytes = [&](const std::string& key) -> std::optional<std::int64_t> {
    const std::optional<YAML::Node> value = fields.Optional(key);
    const std::optional<std::string> text =
        value ? reader.Text(*value, fields.Path(key)) : std::nullopt;
    if (!text) {
      return std::nullopt;
    }
    const std::optional<std::int64_t> parsed = ParseBytes(*text);
    if (!parsed || *parsed <= 0) {
      reader.Error(
          *value,
          absl::StrCat(
              fields.Path(key), ": found '", *text, "'; allowed: a size such as 24GiB or 500MB"));
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

Numerics ReadNumerics(YamlReader& reader, const YAML::Node& node) {
  YamlFields fields(reader, node, "numerics");
  fields.Required("device");
  fields.Required("dtype");
  Numerics numerics;
  numerics.device = fields.OneOf("device", {"cuda", "cpu"}, "cpu");
  numerics.dtype =
      fields.OneOf("dtype", {"f16", "bf16", "f32"}, numerics.device == "cuda" ? "f16" : "f32");
  fields.Finish();
  return numerics;
}

}  // namespace bitsweep
