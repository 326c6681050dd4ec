// Which of the study's questions a file of outcomes can answer.
#include <algorithm>
#include <set>
#include <utility>

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>

#include "coordinator/outcomes/imported_sweep.h"
#include "coordinator/study/cells.h"

namespace bitsweep {
namespace {

constexpr const char* kTwoBit = "2-bit";

class Inference {
 public:
  Inference(const OutcomesFile& file, SweepSpec& spec) : file_(file), spec_(spec) {
    for (const OutcomeCell& cell : file.cells) {
      const OutcomeCellKey& key = cell.key;
      const VariantCoordinates variant{
          key.model, key.precision, key.calibration, key.finetuned, /*seed=*/0};
      if (variants_.insert(variant).second) {
        order_.push_back(variant);
      }
      cells_.insert({variant, key.benchmark, key.language});
      cells_.insert({variant, "", ""});
    }
  }

  void Run() {
    AddRq1();
    AddFinetune();
    AddRq2();
    AddRq3();
    AddRest();
    for (const QuestionSpec& question : spec_.questions) {
      Exclude(question);
    }
  }

 private:
  using Variants = std::vector<VariantCoordinates>;

  bool Has(const std::string& model,
           const std::string& precision,
           const std::string& calibration,
           const std::string& finetuned) const {
    return variants_.contains({model, precision, calibration, finetuned, 0});
  }
  bool HasFp16(const std::string& model) const {
    const std::string none(kNone);
    return Has(model, std::string(kFp16), none, none);
  }

  std::vector<std::string> Calibrations() const {
    std::vector<std::string> names;
    for (const CalibrationSpec& calibration : spec_.calibrations) {
      names.push_back(calibration.name);
    }
    return names;
  }

  /// Adds the question that asks for `wanted` and for fp16 of their models, if it asks for any.
  QuestionSpec* Add(const std::string& name, QuestionKind kind, const Variants& wanted) {
    if (wanted.empty()) {
      return nullptr;
    }
    std::set<std::string> models, precisions, calibrations, finetunes, benchmarks;
    for (const VariantCoordinates& variant : wanted) {
      models.insert(variant.model);
      precisions.insert(variant.precision);
      if (variant.precision != kFp16) {
        calibrations.insert(variant.calibration);
        finetunes.insert(variant.finetuned);
      }
      covered_.insert(variant);
    }
    QuestionSpec question;
    question.name = name;
    question.kind = kind;
    for (const ModelSpec& model : spec_.models) {
      if (models.contains(model.id)) {
        question.models.push_back(model.id);
        if (HasFp16(model.id)) {
          precisions.insert(std::string(kFp16));
          covered_.insert(Fp16Of(model.id));
        }
      }
    }
    if (precisions.contains(std::string(kFp16))) {
      question.precisions.push_back(std::string(kFp16));
    }
    for (const PrecisionSpec& precision : spec_.precisions) {
      if (precisions.contains(precision.label)) {
        question.precisions.push_back(precision.label);
      }
    }
    for (const std::string& calibration : Calibrations()) {
      if (calibrations.contains(calibration)) {
        question.calibrations.push_back(calibration);
      }
    }
    if (finetunes.empty() || finetunes.contains(std::string(kNone))) {
      question.finetunes.push_back(std::string(kNone));
    }
    for (const FinetuneSpec& finetune : spec_.finetunes) {
      if (finetunes.contains(finetune.name)) {
        question.finetunes.push_back(finetune.name);
      }
    }
    for (const OutcomeCell& cell : file_.cells) {
      if (models.contains(cell.key.model)) {
        benchmarks.insert(cell.key.benchmark);
      }
    }
    for (const BenchmarkSpec& benchmark : spec_.benchmarks) {
      if (benchmarks.contains(benchmark.name)) {
        question.benchmarks.push_back(benchmark.name);
      }
    }
    spec_.questions.push_back(std::move(question));
    return &spec_.questions.back();
  }

  static VariantCoordinates Fp16Of(const std::string& model) {
    return {model, std::string(kFp16), std::string(kNone), std::string(kNone), 0};
  }

  template <typename Predicate>
  Variants Select(const Predicate& predicate) const {
    Variants selected;
    for (const VariantCoordinates& variant : order_) {
      if (variant.precision != kFp16 && predicate(variant)) {
        selected.push_back(variant);
      }
    }
    return selected;
  }

  void AddRq1() {
    // Calibrations() begins with random where there is one.
    for (const std::string& calibration : Calibrations()) {
      const Variants wanted = Select([&](const VariantCoordinates& v) {
        return v.calibration == calibration && v.finetuned == kNone && HasFp16(v.model);
      });
      if (Add("rq1", QuestionKind::kRq1, wanted) != nullptr) {
        return;
      }
    }
  }

  void AddFinetune() {
    for (const std::string& calibration : Calibrations()) {
      const Variants wanted = Select([&](const VariantCoordinates& v) {
        const bool tuned = std::any_of(
            spec_.finetunes.begin(), spec_.finetunes.end(), [&](const FinetuneSpec& finetune) {
              return Has(v.model, v.precision, v.calibration, finetune.name);
            });
        return v.calibration == calibration && tuned &&
               Has(v.model, v.precision, v.calibration, std::string(kNone));
      });
      if (Add("rq1-finetune", QuestionKind::kRq1Finetune, wanted) != nullptr) {
        return;
      }
    }
  }

  void AddRq2() {
    const Variants wanted = Select([&](const VariantCoordinates& v) {
      int calibrations = 0;
      for (const std::string& calibration : Calibrations()) {
        calibrations += Has(v.model, v.precision, calibration, std::string(kNone)) ? 1 : 0;
      }
      return v.finetuned == kNone && calibrations > 1;
    });
    if (QuestionSpec* question = Add("rq2", QuestionKind::kRq2, wanted)) {
      question->reference_calibration = question->calibrations.front();
    }
  }

  void AddRq3() {
    const Variants low =
        Select([](const VariantCoordinates& v) { return v.precision == kTwoBit; });
    std::set<std::string> calibrations;
    for (const VariantCoordinates& variant : low) {
      calibrations.insert(variant.calibration);
    }
    if (calibrations.size() > 1 && !calibrations.contains("mixed")) {
      return;
    }
    const auto sizes_of_family = [&](const std::string& family, const std::string& calibration) {
      std::set<std::string> sizes;
      for (const VariantCoordinates& variant : low) {
        const ModelSpec& model = *spec_.FindModel(variant.model);
        if (model.family == family && variant.calibration == calibration && HasFp16(model.id)) {
          sizes.insert(model.params);
        }
      }
      return sizes.size();
    };
    const Variants wanted = Select([&](const VariantCoordinates& v) {
      const bool calibration = calibrations.size() == 1 || v.calibration == "mixed";
      return v.precision == kTwoBit && calibration && HasFp16(v.model) &&
             sizes_of_family(spec_.FindModel(v.model)->family, v.calibration) > 1;
    });
    Add("rq3", QuestionKind::kRq3, wanted);
  }

  std::string FreeName(std::string name) const {
    while (spec_.FindQuestion(name) != nullptr) {
      name += '+';
    }
    return name;
  }

  /// What no question has asked for yet, by calibration; then models that only have fp16.
  void AddRest() {
    for (const std::string& calibration : Calibrations()) {
      const Variants wanted = Select([&](const VariantCoordinates& v) {
        return v.calibration == calibration && !covered_.contains(v);
      });
      const bool first = spec_.questions.empty() && spec_.calibrations.size() == 1;
      Add(FreeName(first ? "rq1" : absl::StrCat("rq1-", calibration)), QuestionKind::kRq1, wanted);
    }
    Variants baselines;
    for (const VariantCoordinates& variant : order_) {
      if (variant.precision == kFp16 && !covered_.contains(variant)) {
        baselines.push_back(variant);
      }
    }
    Add(FreeName(spec_.questions.empty() ? "rq1" : "rq1-baselines"), QuestionKind::kRq1, baselines);
  }

  void Exclude(const QuestionSpec& question) {
    std::vector<VariantCoordinates> asked = QuestionVariants(question, 0);
    // The tests compare with fp16 whether the question lists it or not.
    for (const std::string& model : question.models) {
      if (std::find(asked.begin(), asked.end(), Fp16Of(model)) == asked.end()) {
        asked.push_back(Fp16Of(model));
      }
    }
    for (const VariantCoordinates& variant : asked) {
      ExcludeRule rule;
      rule.questions = {question.name};
      rule.models = {variant.model};
      rule.precisions = {variant.precision};
      rule.calibrations = {variant.calibration};
      rule.finetunes = {variant.finetuned};
      if (!cells_.contains({variant, "", ""})) {
        spec_.excludes.push_back(std::move(rule));
        continue;
      }
      for (const std::string& name : question.benchmarks) {
        for (const BenchmarkFileSpec& part : spec_.FindBenchmark(name)->files) {
          if (!cells_.contains({variant, name, part.language})) {
            ExcludeRule one = rule;
            one.benchmarks = {name};
            one.languages = {part.language};
            spec_.excludes.push_back(std::move(one));
          }
        }
      }
    }
  }

  const OutcomesFile& file_;
  SweepSpec& spec_;
  std::vector<VariantCoordinates> order_;  // In the file's order.
  std::set<VariantCoordinates> variants_, covered_;
  std::set<CellCoordinates> cells_;  // With empty benchmark and language: of any.
};

}  // namespace

void InferQuestions(const OutcomesFile& file, SweepSpec& spec) {
  Inference(file, spec).Run();
}

}  // namespace bitsweep
