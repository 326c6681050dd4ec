// The card of a checkpoint: how it was made and what it scores.
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <absl/strings/str_join.h>

#include "cli/export_folder.h"
#include "cli/render/text.h"
#include "cli/sweep_export.h"

namespace bitsweep::cli {
namespace {

using Json = nlohmann::json;
// Model, precision, calibration, finetuned, seed.
using VariantKey = std::tuple<std::string, std::string, std::string, std::string, std::int64_t>;

VariantKey KeyOf(const v1::Cell& cell) {
  return {cell.model(), cell.precision(), cell.calibration(), cell.finetuned(), cell.seed()};
}

/// `at` of a JSON object as text; "unknown" where it is not there.
std::string Member(const Json& object, const char* at) {
  if (!object.is_object() || !object.contains(at)) {
    return "unknown";
  }
  return object[at].is_string() ? object[at].get<std::string>() : object[at].dump();
}

class CardWriter {
 public:
  explicit CardWriter(const ExportedSweep& exported) : exported_(exported) {
    for (const v1::StageRecord& stage : exported.stages) {
      stages_[stage.stage()] = &stage;
    }
    for (const v1::Cell& cell : exported.cells) {
      seeds_.insert(cell.seed());
    }
  }

  std::vector<ModelCard> Write() const {
    std::vector<ModelCard> cards;
    std::set<VariantKey> done;
    for (const v1::Cell& cell : exported_.cells) {
      const v1::StageRecord* quantize = Find(cell.quantize_stage());
      const bool tuned = cell.finetuned() != "none";
      const v1::StageRecord* finetune = Find(cell.finetune_stage());
      const bool made = quantize != nullptr && quantize->attempt() > 0 &&
                        (!tuned || (finetune != nullptr && finetune->attempt() > 0));
      if (made && done.insert(KeyOf(cell)).second) {
        cards.push_back(Card(cell, *quantize, tuned ? finetune : nullptr));
      }
    }
    return cards;
  }

 private:
  const v1::StageRecord* Find(const std::string& key) const {
    const auto found = stages_.find(key);
    return found == stages_.end() ? nullptr : found->second;
  }

  ModelCard Card(const v1::Cell& cell,
                 const v1::StageRecord& quantize,
                 const v1::StageRecord* finetune) const {
    const Json parameters = Json::parse(quantize.parameters_json(), nullptr, false);
    const Json method = parameters.is_object() ? parameters.value("method", Json()) : Json();
    const v1::StageRecord& last = finetune != nullptr ? *finetune : quantize;
    ModelCard card;
    card.name = PlainFileName(absl::StrCat(cell.model(),
                                           "-AQLM-",
                                           cell.precision(),
                                           "-",
                                           cell.calibration(),
                                           finetune != nullptr ? "-finetuned" : "",
                                           "-",
                                           Member(method, "codebooks"),
                                           "x",
                                           Member(method, "codebook_bits"),
                                           seeds_.size() > 1 ? absl::StrCat("-seed", cell.seed()) : ""));
    std::string& text = card.text;
    text = absl::StrCat("# ", card.name, "\n\n", cell.model(), " quantized with AQLM",
                        finetune != nullptr ? " and fine-tuned end to end" : "", ", as precision \"", cell.precision(),
                        "\" of the sweep \"", exported_.sweep.name(), "\".\n\n| | |\n|---|---|\n");
    const auto row = [&](const std::string& name, const std::string& value) {
      absl::StrAppend(&text, "| ", name, " | ", value, " |\n");
    };
    row("Base model", absl::StrCat(cell.model(), " (", cell.family(), " ", cell.params(), "), manifest SHA-256 `",
                                   Member(parameters, "model"), "`"));
    row("Method", absl::StrCat("AQLM, ", Member(method, "codebooks"), " codebooks of ", Member(method, "codebook_bits"),
                               " bits, groups of ", Member(method, "group_size"), " weights; all options: `",
                               method.dump(), "`"));
    row("Calibration", Calibration(cell, parameters));
    if (finetune != nullptr) {
      const Json tuning = Json::parse(finetune->parameters_json(), nullptr, false);
      row("Fine-tuning", absl::StrCat(cell.finetuned(), ": `", tuning.is_object() ? tuning.value("method", Json()).dump() : "unknown",
                                      "`, seed ", Member(tuning, "seed")));
    }
    row("Seed", absl::StrCat(cell.seed(), " of the sweep; ", Member(parameters, "seed"), " of the quantization"));
    row("Numerics", parameters.is_object() ? absl::StrCat("`", parameters.value("numerics", Json()).dump(), "`") : "unknown");
    row("Size", Size(cell.size_bytes()));
    row("Effective bits", cell.effective_bits() > 0
                              ? absl::StrFormat("%.4f a weight of the quantized linears, codes packed, measured from the file",
                                                cell.effective_bits())
                              : "unknown");
    row("Stage", absl::StrCat("`", last.stage(), "`"));
    row("Made", absl::StrCat(IsoTime(last.ended_us()), " by worker ", last.worker(), " (bitsweep-worker ", last.worker_version(), ", engine build ",
                             last.build(), ", semantics ", last.semantics(), ")",
                             last.gpus().empty() ? "" : absl::StrCat(" on ", last.gpus())));
    Scores(cell, text);
    if (!last.files().empty()) {
      absl::StrAppend(&text, "\n## Files\n\n| file | bytes | SHA-256 |\n|---|---:|---|\n");
      for (const v1::RecordFile& file : last.files()) {
        row(absl::StrCat("`", file.name(), "`"), absl::StrCat(file.size(), " | `", file.sha256(), "`"));
      }
    }
    return card;
  }

  static std::string Calibration(const v1::Cell& cell, const Json& parameters) {
    const Json calibration = parameters.is_object() ? parameters.value("calibration", Json()) : Json();
    std::vector<std::string> parts;
    if (calibration.is_object() && calibration.contains("parts")) {
      for (const Json& part : calibration["parts"]) {
        parts.push_back(absl::StrCat(Member(part, "sequences"), " sequences (window ", Member(part, "window"),
                                     ") of the text with SHA-256 `", Member(part, "digest"), "`"));
      }
    }
    return absl::StrCat(cell.calibration(), ": ", parts.empty() ? "unknown" : absl::StrJoin(parts, "; "), "; ",
                        Member(calibration, "sequence_length"), " tokens each, ", Member(calibration, "validation"),
                        " of the sequences for validation");
  }

  static std::string Size(std::int64_t bytes) {
    if (bytes <= 0) {
      return "unknown";
    }
    constexpr double kGigabyte = 1e9, kGibibyte = 1073741824.0;
    const auto count = static_cast<double>(bytes);
    return absl::StrFormat("%s bytes of weights as stored: %.4f GB (10^9 bytes), %.4f GiB (2^30 bytes)",
                           FormatCount(bytes), count / kGigabyte, count / kGibibyte);
  }

  void Scores(const v1::Cell& variant, std::string& text) const {
    absl::StrAppend(&text, "\n## pass@1\n\n| benchmark | language | problems | samples | pass@1 (%) | fp16 (%) |\n"
                           "|---|---|---:|---:|---:|---:|\n");
    for (const v1::Cell& cell : exported_.cells) {
      if (KeyOf(cell) != KeyOf(variant)) {
        continue;
      }
      std::string baseline = "not in this sweep";
      for (const v1::Cell& other : exported_.cells) {
        if (other.model() == cell.model() && other.precision() == "fp16" && other.seed() == cell.seed() &&
            other.benchmark() == cell.benchmark() && other.language() == cell.language()) {
          baseline = Figure(other);
        }
      }
      absl::StrAppend(&text, "| ", cell.benchmark(), " | ", cell.language(), " | ", cell.problems(), " | ", cell.samples(), " | ",
                      Figure(cell), " | ", baseline, " |\n");
    }
  }

  static std::string Figure(const v1::Cell& cell) {
    return cell.has_result() ? absl::StrFormat("%.2f", 100 * cell.pass_at_1()) : cell.state();
  }

  const ExportedSweep& exported_;
  std::map<std::string, const v1::StageRecord*> stages_;
  std::set<std::int64_t> seeds_;
};

}  // namespace

std::vector<ModelCard> ModelCards(const ExportedSweep& exported) {
  return CardWriter(exported).Write();
}

}  // namespace bitsweep::cli
