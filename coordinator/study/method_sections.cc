// The sections that say how models are quantized and fine-tuned: precisions and finetunes. What the
// engine would refuse is refused here, before anything runs; the ranges are the engine's.
#include <algorithm>
#include <array>
#include <fmt/format.h>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include "coordinator/study/methods.h"
#include "coordinator/study/nearest.h"
#include "coordinator/study/sweep_sections.h"

namespace bitsweep {
namespace {

constexpr std::int64_t kEpochsMax = 1000;
constexpr std::int64_t kBatchMax = 4096;
constexpr double kLearningRateMin = 1e-12;

struct IntegerOption {
  const char* name;
  std::int64_t least, most;
};
struct NumberOption {
  const char* name;
  double least, most;
};
// worker/engine/quantize/README.md says what they mean.
constexpr std::array<IntegerOption, 6> kIntegerOptions = {{{"kmeans_iterations", 0, 10'000},
                                                           {"epochs_max", 1, 100'000},
                                                           {"least_squares_steps", 1, 1000},
                                                           {"sweeps", 1, 1000},
                                                           {"adam_steps", 1, 100'000},
                                                           {"beam_size", 1, 64}}};
constexpr std::array<NumberOption, 3> kNumberOptions = {{{"relative_mse_tolerance", 0, 1},
                                                         {"relative_loss_floor", 0, 1},
                                                         {"adam_learning_rate", 0, 1}}};

// worker/engine/finetune/README.md has these.
constexpr NumberOption kLearningRateEnd = {"learning_rate_end", 0, 1};
constexpr std::array<NumberOption, 3> kCodeOptions = {{{"code_learning_rate", kLearningRateMin, 1},
                                                       {"code_sharpness", 0, 1000},
                                                       {"code_settled", 0, 0.99}}};
constexpr IntegerOption kCodeAlternatives = {"code_alternatives", 2, 64};

double NumberIn(
    YamlFields& fields, const std::string& key, double least, double most, double fallback) {
  return fields.Number(
      key,
      [=](double x) { return x >= least && x <= most; },
      fmt::format("a number from {} to {}", least, most),
      fallback);
}

/// What block tuning and end-to-end fine-tuning both have.
struct Training {
  double learning_rate = 0;
  int epochs = 0, early_stop = 0, batch = 0;
};

Training ReadTraining(YamlFields& fields, const Training& fallback) {
  Training read;
  read.learning_rate =
      NumberIn(fields, "learning_rate", kLearningRateMin, 1, fallback.learning_rate);
  read.epochs = static_cast<int>(fields.Integer("epochs", 1, kEpochsMax, fallback.epochs));
  read.early_stop =
      static_cast<int>(fields.Integer("early_stop", 0, kEpochsMax, fallback.early_stop));
  read.batch = static_cast<int>(fields.Integer("batch", 1, kBatchMax, fallback.batch));
  return read;
}

/// What is written, and nothing else: the engine has the defaults.
nlohmann::json ReadBlockTuning(YamlReader& reader,
                               const YAML::Node& node,
                               const std::string& what) {
  YamlFields fields(reader, node, what);
  const Training read = ReadTraining(fields, Training());
  const std::string products = fields.OneOf("products", ProductsNames(), FinetuneSpec().products);
  fields.Finish();
  nlohmann::json out = nlohmann::json::object();
  const auto keep = [&](const char* key, const auto& value) {
    if (fields.has(key)) {
      out[key] = value;
    }
  };
  keep("learning_rate", read.learning_rate);
  keep("epochs", read.epochs);
  keep("early_stop", read.early_stop);
  keep("batch", read.batch);
  keep("products", products);
  return out;
}

nlohmann::json ReadOptions(YamlReader& reader, const YAML::Node& node, const std::string& what) {
  YamlFields fields(reader, node, what);
  for (const std::string key : {"name", "codebooks", "codebook_bits", "group_size"}) {
    fields.Refuse(key, "is no option, it stands beside `options`");
  }
  nlohmann::json options = nlohmann::json::object();
  for (const IntegerOption& option : kIntegerOptions) {
    const std::int64_t value = fields.Integer(option.name, option.least, option.most, option.least);
    if (fields.has(option.name)) {
      options[option.name] = value;
    }
  }
  for (const NumberOption& option : kNumberOptions) {
    const double value = NumberIn(fields, option.name, option.least, option.most, option.least);
    if (fields.has(option.name)) {
      options[option.name] = value;
    }
  }
  const std::string update =
      fields.OneOf("codebook_update", {"least_squares", "adam"}, "least_squares");
  if (fields.has("codebook_update")) {
    options["codebook_update"] = update;
  }
  // The default is not said, so that saying it makes no other key.
  if (const std::string start = fields.OneOf("initialisation", InitialisationNames(), "");
      !start.empty() && start != InitialisationNames().front()) {
    options["initialisation"] = start;
  }
  if (const std::optional<YAML::Node> tuning = fields.Optional("block_tuning")) {
    options["block_tuning"] = ReadBlockTuning(reader, *tuning, fields.Path("block_tuning"));
  }
  fields.Finish();
  return options;
}

std::vector<std::string> ReadTrain(YamlReader& reader, YamlFields& fields) {
  const std::optional<YAML::Node> node = fields.Optional("train");
  if (!node) {
    return {};
  }
  const std::vector<std::string>& names = TrainedPartNames();
  std::vector<std::string> found;
  for (const Placed& part : reader.List(*node, fields.Path("train"))) {
    if (std::find(names.begin(), names.end(), part.text) == names.end()) {
      reader.Error(
          part.line,
          absl::StrCat(
              fields.Path("train"), ": found '", part.text, "'", AllowedText(part.text, names)));
    }
    found.push_back(part.text);
  }
  if (found.empty() && node->IsSequence()) {
    reader.Error(*node,
                 absl::StrCat(fields.Path("train"),
                              ": found an empty list; allowed: at least one of ",
                              absl::StrJoin(names, ", "),
                              "; without `train` all of them"));
  }
  // In one order, and all of them as none: however it is written, the same choice is the same key.
  std::vector<std::string> ordered;
  std::copy_if(
      names.begin(), names.end(), std::back_inserter(ordered), [&](const std::string& name) {
        return std::find(found.begin(), found.end(), name) != found.end();
      });
  return ordered.size() == names.size() ? std::vector<std::string>() : ordered;
}

/// What is written of the options that only the engine has defaults for; those of codes belong to
/// one objective.
nlohmann::json ReadEngineOptions(YamlFields& fields, const std::string& objective) {
  nlohmann::json options = nlohmann::json::object();
  const auto keep = [&](const char* name, const auto& value) {
    if (fields.has(name)) {
      options[name] = value;
    }
  };
  const auto number = [&](const NumberOption& option) {
    keep(option.name, NumberIn(fields, option.name, option.least, option.most, option.most));
  };
  number(kLearningRateEnd);
  if (objective != kPvObjective) {
    const std::string why = absl::StrCat("belongs to objective ", std::string(kPvObjective));
    for (const NumberOption& option : kCodeOptions) {
      fields.Refuse(option.name, why);
    }
    fields.Refuse(kCodeAlternatives.name, why);
    return options;
  }
  std::for_each(kCodeOptions.begin(), kCodeOptions.end(), number);
  keep(kCodeAlternatives.name,
       fields.Integer(kCodeAlternatives.name,
                      kCodeAlternatives.least,
                      kCodeAlternatives.most,
                      kCodeAlternatives.least));
  return options;
}

}  // namespace

PrecisionSpec ReadPrecision(YamlReader& reader, const Placed& label, const YAML::Node& node) {
  YamlFields fields(reader, node, absl::StrCat("precision '", label.text, "'"));
  PrecisionSpec precision;
  precision.label = label.text;
  precision.line = label.line;
  if (label.text == kFp16 || label.text == kNone) {
    reader.Error(
        label.line,
        absl::StrCat(
            "precisions: '", label.text, "' is reserved: fp16 is implied, the model as it is"));
  }
  precision.method = fields.OneOf("method", {"aqlm"}, "aqlm");
  precision.codebooks = static_cast<int>(fields.Integer("codebooks", 1, 16, std::nullopt));
  precision.codebook_bits = static_cast<int>(fields.Integer("codebook_bits", 1, 16, std::nullopt));
  precision.group_size = static_cast<int>(fields.Integer("group_size", 1, 32, 8));
  if (const int group = precision.group_size; (group & (group - 1)) != 0) {
    reader.Error(
        fields.line("group_size"),
        absl::StrCat(
            fields.Path("group_size"), ": found '", group, "'; allowed: 1, 2, 4, 8, 16, 32"));
  }
  precision.seed = fields.Seed("seed");
  for (const std::string key : {"block_tuning", "initialisation"}) {
    fields.Refuse(key, absl::StrCat("is an option; it stands in `options: {", key, ": ...}`"));
  }
  if (const std::optional<YAML::Node> options = fields.Optional("options")) {
    precision.options = ReadOptions(reader, *options, fields.Path("options"));
  }
  fields.Finish();
  return precision;
}

FinetuneSpec ReadFinetune(YamlReader& reader, const Placed& name, const YAML::Node& node) {
  YamlFields fields(reader, node, absl::StrCat("finetune '", name.text, "'"));
  FinetuneSpec finetune;
  finetune.name = name.text;
  finetune.line = name.line;
  if (name.text == kNone) {
    reader.Error(name.line, "finetunes: 'none' is reserved: no fine-tuning");
  }
  if (const std::optional<YAML::Node> objective = fields.Optional("objective");
      objective && objective->IsScalar() && objective->Scalar() == kNone) {
    fields.Refuse("objective",
                  "found 'none'; no fine-tuning is not declared, a question asks for it with "
                  "`finetunes: [none, ...]`");
  }
  finetune.objective = fields.OneOf("objective", ObjectiveNames(), finetune.objective);
  const Training read = ReadTraining(
      fields, {finetune.learning_rate, finetune.epochs, finetune.early_stop, finetune.batch});
  finetune.learning_rate = read.learning_rate;
  finetune.epochs = read.epochs;
  finetune.early_stop = read.early_stop;
  finetune.batch = read.batch;
  finetune.train = ReadTrain(reader, fields);
  finetune.engine_options = ReadEngineOptions(fields, finetune.objective);
  finetune.products = fields.OneOf("products", ProductsNames(), finetune.products);
  finetune.gradient_checkpointing = fields.OneOf(
      "gradient_checkpointing", {"auto", "on", "off"}, finetune.gradient_checkpointing);
  fields.Finish();
  return finetune;
}

}  // namespace bitsweep
