#include "worker/engine/finetune/finetune_options.h"

#include <algorithm>
#include <string>
#include <vector>

namespace bitsweep::engine {
namespace {

const std::vector<std::string> kCheckpointing = {"auto", "on", "off"};
// In the order of CodeMetric.
const std::vector<std::string> kCodeMetrics = {"euclidean", "adam"};

std::set<TrainedPart> ReadTrain(StrictObject& method) {
  const std::vector<std::string>& names = TrainedPartNames();
  const nlohmann::json& list = method.Raw("train");
  std::string allowed;
  for (const std::string& name : names) {
    allowed += (allowed.empty() ? "" : ", ") + name;
  }
  std::set<TrainedPart> parts;
  if (!list.is_array() || list.empty()) {
    method.Refuse("train", "found " + list.dump() + ", want a list of at least one of " + allowed);
  }
  for (const nlohmann::json& entry : list) {
    const auto at = entry.is_string()
                        ? std::find(names.begin(), names.end(), entry.get<std::string>())
                        : names.end();
    if (at == names.end()) {
      method.Refuse("train", "found " + entry.dump() + ", want " + allowed);
    }
    parts.insert(static_cast<TrainedPart>(at - names.begin()));
  }
  return parts;
}

void ReadCodeMoves(StrictObject& method, CodeMoveOptions* codes) {
  codes->learning_rate = method.NumberOr("code_learning_rate", 1e-12, 1.0, codes->learning_rate);
  codes->every = method.IntOr("code_every", 1, 1'000'000, codes->every);
  codes->change_max = method.NumberOr("code_change_max", 1e-9, 1.0, codes->change_max);
  codes->trust_ratio = method.NumberOr("code_trust_ratio", 1e-9, 1.0, codes->trust_ratio);
  codes->beam = method.IntOr("code_beam", 1, 64, codes->beam);
  const std::string metric = method.ChoiceOr(
      "code_metric", kCodeMetrics, kCodeMetrics[static_cast<std::size_t>(codes->metric)]);
  codes->metric = static_cast<CodeMetric>(
      std::find(kCodeMetrics.begin(), kCodeMetrics.end(), metric) - kCodeMetrics.begin());
}

}  // namespace

const std::vector<std::string>& FinetuneObjectiveNames() {
  static const std::vector<std::string> kNames = {"teacher-kl", "pv-teacher-kl"};
  return kNames;
}

const std::vector<std::string>& TrainedPartNames() {
  static const std::vector<std::string> kNames = {
      "codebooks", "scales", "norms", "embeddings", "lm_head"};
  return kNames;
}

FinetuneOptions ReadFinetuneMethod(StrictObject method) {
  FinetuneOptions options;
  const std::vector<std::string>& objectives = FinetuneObjectiveNames();
  options.objective = static_cast<FinetuneObjective>(
      std::find(
          objectives.begin(), objectives.end(), method.Choice("objective", objectives)) -
      objectives.begin());
  options.learning_rate = method.NumberOr("learning_rate", 1e-12, 1.0, options.learning_rate);
  options.epochs = static_cast<int>(method.IntOr("epochs", 1, 1000, options.epochs));
  options.early_stop = static_cast<int>(method.IntOr("early_stop", 0, 1000, options.early_stop));
  options.batch = method.IntOr("batch", 1, 4096, options.batch);
  if (method.Has("train")) {
    options.train = ReadTrain(method);
  }
  const std::string chosen =
      method.ChoiceOr("gradient_checkpointing", kCheckpointing, kCheckpointing.front());
  options.checkpointing = static_cast<GradientCheckpointing>(
      std::find(kCheckpointing.begin(), kCheckpointing.end(), chosen) - kCheckpointing.begin());
  options.products = ReadProducts(method);
  if (options.objective == FinetuneObjective::kPvTeacherKl) {
    ReadCodeMoves(method, &options.codes);
  }
  method.Finish();
  return options;
}

nlohmann::json ToJson(const FinetuneOptions& options) {
  nlohmann::json train = nlohmann::json::array();
  for (const TrainedPart part : options.train) {
    train.push_back(TrainedPartNames()[static_cast<std::size_t>(part)]);
  }
  nlohmann::json method = {
      {"objective", FinetuneObjectiveNames()[static_cast<std::size_t>(options.objective)]},
      {"learning_rate", options.learning_rate},
      {"epochs", options.epochs},
      {"early_stop", options.early_stop},
      {"batch", options.batch},
      {"train", train},
      {"gradient_checkpointing", kCheckpointing[static_cast<std::size_t>(options.checkpointing)]},
      {"products", NameOf(options.products)}};
  if (options.objective == FinetuneObjective::kPvTeacherKl) {
    method["code_learning_rate"] = options.codes.learning_rate;
    method["code_every"] = options.codes.every;
    method["code_change_max"] = options.codes.change_max;
    method["code_trust_ratio"] = options.codes.trust_ratio;
    method["code_beam"] = options.codes.beam;
    method["code_metric"] = kCodeMetrics[static_cast<std::size_t>(options.codes.metric)];
  }
  return method;
}

}  // namespace bitsweep::engine
