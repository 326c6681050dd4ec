#include "worker/engine/finetune/finetune_options.h"

#include <algorithm>
#include <string>
#include <vector>

namespace bitsweep::engine {
namespace {

const std::vector<std::string> kCheckpointing = {"auto", "on", "off"};

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

void ReadCodeChoice(StrictObject& method, CodeChoiceOptions* codes) {
  codes->learning_rate = method.NumberOr("code_learning_rate", 1e-12, 1.0, codes->learning_rate);
  codes->alternatives = method.IntOr("code_alternatives", 2, 64, codes->alternatives);
  codes->sharpness = method.NumberOr("code_sharpness", 0.0, 1000.0, codes->sharpness);
  codes->settled = method.NumberOr("code_settled", 0.0, 0.99, codes->settled);
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
      std::find(objectives.begin(), objectives.end(), method.Choice("objective", objectives)) -
      objectives.begin());
  options.learning_rate = method.NumberOr("learning_rate", 1e-12, 1.0, options.learning_rate);
  options.learning_rate_end =
      method.NumberOr("learning_rate_end", 0.0, 1.0, options.learning_rate_end);
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
    ReadCodeChoice(method, &options.codes);
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
      {"learning_rate_end", options.learning_rate_end},
      {"epochs", options.epochs},
      {"early_stop", options.early_stop},
      {"batch", options.batch},
      {"train", train},
      {"gradient_checkpointing", kCheckpointing[static_cast<std::size_t>(options.checkpointing)]},
      {"products", NameOf(options.products)}};
  if (options.objective == FinetuneObjective::kPvTeacherKl) {
    method["code_learning_rate"] = options.codes.learning_rate;
    method["code_alternatives"] = options.codes.alternatives;
    method["code_sharpness"] = options.codes.sharpness;
    method["code_settled"] = options.codes.settled;
  }
  return method;
}

}  // namespace bitsweep::engine
