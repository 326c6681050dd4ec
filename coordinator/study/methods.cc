#include "coordinator/study/methods.h"

#include <fmt/format.h>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

namespace bitsweep {
namespace {

using nlohmann::json;

std::string PlainText(const json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

const std::vector<std::string>& TrainedParts(const FinetuneSpec& finetune) {
  return finetune.train.empty() ? TrainedPartNames() : finetune.train;
}

}  // namespace

const std::vector<std::string>& ObjectiveNames() {
  static const std::vector<std::string> kNames = {"teacher-kl", std::string(kPvObjective)};
  return kNames;
}

const std::vector<std::string>& TrainedPartNames() {
  static const std::vector<std::string> kNames = {
      "codebooks", "scales", "norms", "embeddings", "lm_head"};
  return kNames;
}

const std::vector<std::string>& InitialisationNames() {
  static const std::vector<std::string> kNames = {"kmeans", "weighted-kmeans"};
  return kNames;
}

const std::vector<std::string>& ProductsNames() {
  static const std::vector<std::string> kNames = {"f32", "bf16"};
  return kNames;
}

json QuantizeMethod(const PrecisionSpec& precision) {
  json method = precision.options;
  method["name"] = precision.method;
  method["codebooks"] = precision.codebooks;
  method["codebook_bits"] = precision.codebook_bits;
  method["group_size"] = precision.group_size;
  return method;
}

json FinetuneKeyMethod(const FinetuneSpec& finetune) {
  json method = {{"objective", finetune.objective},
                 {"learning_rate", finetune.learning_rate},
                 {"epochs", finetune.epochs},
                 {"early_stop", finetune.early_stop}};
  if (finetune.batch != FinetuneSpec().batch) {
    method["batch"] = finetune.batch;
  }
  if (!finetune.train.empty()) {
    method["train"] = finetune.train;
  }
  if (finetune.products != FinetuneSpec().products) {
    method["products"] = finetune.products;
  }
  method.update(finetune.engine_options);
  return method;
}

json FinetuneSpecMethod(const FinetuneSpec& finetune) {
  json method = FinetuneKeyMethod(finetune);
  if (finetune.gradient_checkpointing != FinetuneSpec().gradient_checkpointing) {
    method["gradient_checkpointing"] = finetune.gradient_checkpointing;
  }
  return method;
}

json FinetuneInFull(const FinetuneSpec& finetune) {
  json all = FinetuneKeyMethod(finetune);
  all["name"] = finetune.name;
  all["batch"] = finetune.batch;
  all["train"] = TrainedParts(finetune);
  all["products"] = finetune.products;
  all["gradient_checkpointing"] = finetune.gradient_checkpointing;
  return all;
}

std::string FinetuneText(const FinetuneSpec& finetune) {
  const bool is_pv = finetune.objective == kPvObjective;  // Makes all of its epochs.
  std::string stop;
  if (!is_pv) {
    stop = finetune.early_stop == 0 ? std::string(", no early stop")
                                    : absl::StrCat(", early stop ", finetune.early_stop);
  }
  std::string text = absl::StrCat(finetune.objective,
                                  fmt::format(", learning rate {}", finetune.learning_rate),
                                  is_pv ? ", " : ", at most ",
                                  finetune.epochs,
                                  finetune.epochs == 1 ? " epoch" : " epochs",
                                  stop,
                                  ", batch ",
                                  finetune.batch);
  if (finetune.products != FinetuneSpec().products) {
    absl::StrAppend(&text, ", products ", finetune.products);
  }
  for (const auto& [name, value] : finetune.engine_options.items()) {
    absl::StrAppend(&text, ", ", name, " ", PlainText(value));
  }
  return absl::StrCat(
      text, "; trains ", is_pv ? "codes, " : "", absl::StrJoin(TrainedParts(finetune), ", "));
}

std::string OptionsText(const PrecisionSpec& precision) {
  std::vector<std::string> parts;
  for (const auto& [name, value] : precision.options.items()) {
    parts.push_back(absl::StrCat(name, " ", PlainText(value)));
  }
  return absl::StrJoin(parts, ", ");
}

}  // namespace bitsweep
